//! Checks the names and places of directives.
//!
//! The library does not check all of them: on `__typename` it accepts any directive. `@defer` and
//! `@stream` are refused by name, so that a client learns that they are not supported and not that
//! it has mistyped them.

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

/// The directives of a selection.
const OF_SELECTIONS: [&str; 2] = ["skip", "include"];

/// Their only argument.
const CONDITION: &str = "if";

/// The directives of a schema, which a document must not use.
const OF_SCHEMAS: [&str; 3] = ["deprecated", "specifiedBy", "oneOf"];

/// Refuses a document with a directive that is unknown or misplaced, or that asks for incremental
/// delivery.
///
/// # Errors
/// GRAPHQL_VALIDATION_FAILED at the position of the directive.
pub(super) fn check(document: &ExecutableDocument) -> Result<(), ApiError> {
    document
        .operations
        .iter()
        .try_for_each(|(_, operation)| check_operation(&operation.node))?;
    document
        .fragments
        .values()
        .try_for_each(|fragment| check_fragment(&fragment.node))
}

fn check_operation(operation: &OperationDefinition) -> Result<(), ApiError> {
    operation.directives.iter().try_for_each(misplaced)?;
    let variables = operation
        .variable_definitions
        .iter()
        .flat_map(|variable| &variable.node.directives);
    variables.into_iter().try_for_each(misplaced)?;
    check_selections(&operation.selection_set.node)
}

fn check_fragment(fragment: &FragmentDefinition) -> Result<(), ApiError> {
    fragment.directives.iter().try_for_each(misplaced)?;
    check_selections(&fragment.selection_set.node)
}

/// Checks the directives in a selection. Fragments are checked where they are defined, so that each
/// is checked once.
fn check_selections(set: &SelectionSet) -> Result<(), ApiError> {
    set.items.iter().try_for_each(|selection| {
        selection
            .node
            .directives()
            .iter()
            .try_for_each(check_directive)?;
        match &selection.node {
            Selection::Field(field) => check_selections(&field.node.selection_set.node),
            Selection::InlineFragment(inline) => check_selections(&inline.node.selection_set.node),
            Selection::FragmentSpread(_) => Ok(()),
        }
    })
}

/// Checks a directive of a field or a fragment.
fn check_directive(directive: &Positioned<Directive>) -> Result<(), ApiError> {
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

/// The error for a directive that is not allowed at its place.
fn misplaced(directive: &Positioned<Directive>) -> Result<(), ApiError> {
    let name = directive.node.name.node.as_str();
    let message = if INCREMENTAL.contains(&name) {
        format!("@{name} is not supported: the server sends each result in one piece.")
    } else if OF_SELECTIONS.contains(&name) {
        format!(
            "Directive \"@{name}\" may be used only on a field, a fragment spread or an inline fragment."
        )
    } else if OF_SCHEMAS.contains(&name) {
        format!("Directive \"@{name}\" belongs to a schema and cannot be used in a document.")
    } else {
        format!("Unknown directive \"@{name}\".")
    };
    Err(ApiError::new(Code::GraphqlValidationFailed, message).at(directive.pos))
}
