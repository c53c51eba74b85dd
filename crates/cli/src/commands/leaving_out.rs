//! Methods that a comparison is made without, because they have no meaning there.

use crate::failure::Usage;
use crate::session::Session;
use anyhow::{Result, bail};
use offshoot::methods::{MethodConfig, Saves};
use offshoot::train::{ClassWeights, Objective, Recipe};

/// Leaves out methods that cannot do the task or honour its class weights, as rows of failures would be of no use.
pub(super) fn without_unfit(recipe: &mut Recipe, session: &Session) -> Result<()> {
    let objective = Objective::new(recipe.task, 0);
    let unfit = |method: &MethodConfig| !objective.fits(method);
    if recipe.methods.iter().all(unfit)
        && let Some(first) = recipe.methods.first()
    {
        bail!(Usage(objective.refusal(first)));
    }
    if recipe.methods.iter().any(unfit) {
        leave_out(recipe, unfit, "they tell classes apart and give no numbers", session);
    }
    recipe.check_task().map_err(|error| Usage(error.to_string()))?;
    let weighted = recipe.methods.iter().any(|method| !unweighted(method));
    // Where none is left, what each is refused with is said.
    if recipe.train.class_weights.is_some() && weighted && recipe.methods.iter().any(unweighted) {
        leave_out(recipe, unweighted, "they have no loss that class weights could multiply", session);
    }
    Ok(())
}

/// Leaves out methods that have no meaning here, and says why.
pub(super) fn leave_out(
    recipe: &mut Recipe,
    which: impl Fn(&MethodConfig) -> bool,
    reason: &str,
    session: &Session,
) {
    let out: Vec<&str> = recipe.methods.iter().filter(|m| which(m)).map(|m| m.info().name).collect();
    session.console.say(&format!("left out: {} ({reason})", out.join(", ")));
    recipe.methods.retain(|method| !which(method));
}

/// Whether a method asks in words.
pub(super) fn asks(method: &MethodConfig) -> bool {
    method.saves() == Saves::Prompt
}

/// Whether a method has no loss that weights multiply.
fn unweighted(method: &MethodConfig) -> bool {
    !ClassWeights::fits(method)
}

/// Whether a method needs the XGBoost library.
pub(super) fn boosts(method: &MethodConfig) -> bool {
    matches!(method, MethodConfig::FeaturesXgboost(_))
}

/// Whether a method only has a meaning for classes.
pub(super) fn classifies(method: &MethodConfig) -> bool {
    matches!(method.saves(), Saves::Features | Saves::Fitted) || method.info().name == "head"
}
