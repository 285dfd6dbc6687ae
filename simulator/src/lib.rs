//! stub
pub mod iso;
pub mod state;
pub mod throttle;
