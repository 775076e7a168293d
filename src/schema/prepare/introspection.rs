//! Refuses introspection, if the operator has turned it off.
//!
//! `__typename` is always allowed, because clients need it to tell objects apart.

use async_graphql::parser::types::{ExecutableDocument, Selection, SelectionSet};

use crate::schema::error::{ApiError, Code};

/// Whether clients may ask for the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Introspection {
    /// `__schema` and `__type` are answered.
    Allowed,
    /// A document with `__schema` or `__type` is refused, and no error suggests a name.
    Refused,
}

/// The fields that return the schema. No type of this schema has such a field, so they are refused
/// at any place.
const FIELDS: [&str; 2] = ["__schema", "__type"];

/// Refuses a document that selects one of these fields.
///
/// # Errors
/// GRAPHQL_VALIDATION_FAILED at the position of the field.
pub(super) fn refuse(document: &ExecutableDocument) -> Result<(), ApiError> {
    let operations = document
        .operations
        .iter()
        .map(|(_, operation)| &operation.node.selection_set);
    let fragments = document
        .fragments
        .values()
        .map(|fragment| &fragment.node.selection_set);
    operations
        .chain(fragments)
        .try_for_each(|set| check_selections(&set.node))
}

/// Checks a selection. Fragments are checked where they are defined, so that each is checked once.
fn check_selections(set: &SelectionSet) -> Result<(), ApiError> {
    set.items
        .iter()
        .try_for_each(|selection| match &selection.node {
            Selection::Field(field) => {
                let name = field.node.name.node.as_str();
                if FIELDS.contains(&name) {
                    let message =
                        format!("Introspection is disabled: this server does not answer {name}.");
                    return Err(ApiError::new(Code::GraphqlValidationFailed, message).at(field.pos));
                }
                check_selections(&field.node.selection_set.node)
            }
            Selection::InlineFragment(inline) => check_selections(&inline.node.selection_set.node),
            Selection::FragmentSpread(_) => Ok(()),
        })
}
