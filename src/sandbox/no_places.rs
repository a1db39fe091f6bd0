//! Stands in for `places` where the cargo feature `sandbox` is off.

use crate::sandbox::fences::Reach;

/// Restricts nothing.
///
/// # Errors
/// Always: in words, why.
pub fn restrict(_: &Reach) -> Result<String, String> {
    Err("Landlock: this build is without the cargo feature sandbox".to_owned())
}
