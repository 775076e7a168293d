//! Directives by their names and places. The library does not look at all of them: on `__typename` anything goes.
//!
//! `@defer` and `@stream` are refused by name: a client that asks for them should learn that they will not come, not that it
//! mistyped.

use async_graphql::{
    Positioned,
    parser::types::{
        Directive, ExecutableDocument, FragmentDefinition, OperationDefinition, Selection,
        SelectionSet,
    },
};

use crate::schema::error::{ApiError, Code};

/// The directives of incremental delivery.
const INCREMENTAL: [&str; 2] = ["defer", "stream"];

/// Those of a selection, and what they all take.
const OF_SELECTIONS: [&str; 2] = ["skip", "include"];
const CONDITION: &str = "if";

/// Those of a schema, which have no place in a document.
const OF_SCHEMAS: [&str; 3] = ["deprecated", "specifiedBy", "oneOf"];

/// Refuses a document with a directive that is not known, stands where it must not, or asks for an answer in several parts;
/// anywhere in it.
pub(super) fn check(document: &ExecutableDocument) -> Result<(), ApiError> {
    document
        .operations
        .iter()
        .try_for_each(|(_, operation)| of_operation(&operation.node))?;
    document
        .fragments
        .values()
        .try_for_each(|fragment| of_fragment(&fragment.node))
}

fn of_operation(operation: &OperationDefinition) -> Result<(), ApiError> {
    operation.directives.iter().try_for_each(misplaced)?;
    let variables = operation
        .variable_definitions
        .iter()
        .flat_map(|variable| &variable.node.directives);
    variables.into_iter().try_for_each(misplaced)?;
    selections(&operation.selection_set.node)
}

fn of_fragment(fragment: &FragmentDefinition) -> Result<(), ApiError> {
    fragment.directives.iter().try_for_each(misplaced)?;
    selections(&fragment.selection_set.node)
}

/// Fragments are looked at where they are defined, so that each is looked at once.
fn selections(set: &SelectionSet) -> Result<(), ApiError> {
    set.items.iter().try_for_each(|selection| {
        selection
            .node
            .directives()
            .iter()
            .try_for_each(of_selection)?;
        match &selection.node {
            Selection::Field(field) => selections(&field.node.selection_set.node),
            Selection::InlineFragment(inline) => selections(&inline.node.selection_set.node),
            Selection::FragmentSpread(_) => Ok(()),
        }
    })
}

fn of_selection(directive: &Positioned<Directive>) -> Result<(), ApiError> {
    let name = directive.node.name.node.as_str();
    if !OF_SELECTIONS.contains(&name) {
        return misplaced(directive);
    }
    match directive
        .node
        .arguments
        .iter()
        .find(|(argument, _)| argument.node != CONDITION)
    {
        Some((argument, _)) => {
            let message = format!(
                "Unknown argument \"{}\" on directive \"@{name}\".",
                argument.node
            );
            Err(ApiError::new(Code::GraphqlValidationFailed, message).at(argument.pos))
        }
        None => Ok(()),
    }
}

/// Says what is wrong with a directive that must not stand where it does.
fn misplaced(directive: &Positioned<Directive>) -> Result<(), ApiError> {
    let name = directive.node.name.node.as_str();
    let message = if INCREMENTAL.contains(&name) {
        format!("@{name} is not supported: every result comes in one piece.")
    } else if OF_SELECTIONS.contains(&name) {
        format!(
            "Directive \"@{name}\" may stand on a field or a fragment that is selected, and nowhere else."
        )
    } else if OF_SCHEMAS.contains(&name) {
        format!("Directive \"@{name}\" belongs to a schema, and may not be used in a document.")
    } else {
        format!("Unknown directive \"@{name}\".")
    };
    Err(ApiError::new(Code::GraphqlValidationFailed, message).at(directive.pos))
}
