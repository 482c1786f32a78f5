//! The numbered points of a request's life at which tests let the process die. Without the feature `failpoints` nothing of
//! it is compiled.

/// Ends the request here when a test has asked for it: by a panic, or by leaving the function with the given value.
macro_rules! crash_point {
    ($name:literal) => {
        #[cfg(feature = "failpoints")]
        fail::fail_point!($name);
    };
    ($name:literal, $value:expr) => {
        #[cfg(feature = "failpoints")]
        fail::fail_point!($name, |_| $value);
    };
}

pub(crate) use crash_point;
