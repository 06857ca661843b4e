//! Where causes are taken from: the stable codes for every answer that hubgate makes itself, and for every request it
//! could not finish. The table is in `types::cause`, below the configuration, which names causes for error pages.

pub use crate::types::cause::{Cause, Situation};
