//! Discovering: which targets there are.

use crate::select::Selection;
use crate::{Context, Error, Fleet, fleet};

/// Finds the selected targets on all hosts.
///
/// # Errors
/// When no host answers or a name matches nothing.
pub async fn discover(context: &Context, selection: &Selection) -> Result<Fleet, Error> {
    let mut fleet = fleet::discover(context).await?;
    fleet.select(selection)?;
    Ok(fleet)
}
