//! `@defer` and `@stream` are refused by name: a client that asks for them should learn that they will not come, not that
//! it mistyped.

use async_graphql::{
    Positioned,
    parser::types::{Directive, ExecutableDocument, Selection, SelectionSet},
};

use crate::schema::error::{ApiError, Code};

/// The directives of incremental delivery.
const INCREMENTAL: [&str; 2] = ["defer", "stream"];

/// Refuses a document that asks for an answer in several parts, anywhere in it.
pub(super) fn refuse(document: &ExecutableDocument) -> Result<(), ApiError> {
    for (_, operation) in document.operations.iter() {
        plain(&operation.node.directives)?;
        selections(&operation.node.selection_set.node)?;
    }
    for fragment in document.fragments.values() {
        plain(&fragment.node.directives)?;
        selections(&fragment.node.selection_set.node)?;
    }
    Ok(())
}

/// Fragments are looked at where they are defined, so that each is looked at once.
fn selections(set: &SelectionSet) -> Result<(), ApiError> {
    for selection in &set.items {
        plain(selection.node.directives())?;
        match &selection.node {
            Selection::Field(field) => selections(&field.node.selection_set.node)?,
            Selection::InlineFragment(inline) => selections(&inline.node.selection_set.node)?,
            Selection::FragmentSpread(_) => {}
        }
    }
    Ok(())
}

fn plain(directives: &[Positioned<Directive>]) -> Result<(), ApiError> {
    let asked = directives.iter().find(|directive| INCREMENTAL.contains(&directive.node.name.node.as_str()));
    let Some(directive) = asked else { return Ok(()) };
    let message = format!("@{} is not supported: every result comes in one piece.", directive.node.name.node);
    Err(ApiError::new(Code::GraphqlValidationFailed, message).at(directive.pos))
}
