//! Wrong arguments and wrong handles are answered, never followed. No network: the programs judge themselves.

use crate::support::{CProgram, Lane, in_every_lane};

fn wrong_handles(lane: Lane) {
    CProgram::start("handles", lane, &[] as &[&str]).finish();
}

fn wrong_arguments(lane: Lane) {
    CProgram::start("arguments", lane, &[] as &[&str]).finish();
}

fn times(lane: Lane) {
    CProgram::start("times", lane, &[] as &[&str]).finish();
}

in_every_lane!(wrong_handles, wrong_arguments, times);
