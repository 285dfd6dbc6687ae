//! What only tests need of the inside. Not part of the library.

#[cfg(test)]
mod defects;
#[cfg(test)]
pub(crate) mod fault_point;
pub mod fuzzing;
#[cfg(test)]
pub(crate) mod model_link;
#[cfg(test)]
mod models;
#[cfg(test)]
pub(crate) mod schedule;
