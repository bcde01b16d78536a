//! The secrets of the demo's traffic. Neither the disk nor the output may show them.

pub(crate) const TOKEN: &str = "t0ken-of-the-demo-8d1f";
pub(crate) const AUTHORIZATION: &str = "Bearer b3arer-of-the-demo-41c7";
pub(crate) const ACCOUNT: &str = "acc0unt-of-the-demo-9931";
pub(crate) const FIGURES: &str = "confidential figures of the demo";
