//! Where introspection is off, a document that asks for the schema is refused by name. `__typename` is no secret: clients tell
//! objects apart by it.

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

/// The fields that tell about the schema. No type of ours has fields of these names, so they are refused wherever they stand.
const FIELDS: [&str; 2] = ["__schema", "__type"];

/// Refuses a document that asks for the schema, anywhere in it.
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
        .try_for_each(|set| selections(&set.node))
}

/// Fragments are looked at where they are defined, so that each is looked at once.
fn selections(set: &SelectionSet) -> Result<(), ApiError> {
    set.items
        .iter()
        .try_for_each(|selection| match &selection.node {
            Selection::Field(field) => {
                let name = field.node.name.node.as_str();
                if FIELDS.contains(&name) {
                    let message = format!(
                        "This server does not tell its schema: {name} is not answered here."
                    );
                    return Err(ApiError::new(Code::GraphqlValidationFailed, message).at(field.pos));
                }
                selections(&field.node.selection_set.node)
            }
            Selection::InlineFragment(inline) => selections(&inline.node.selection_set.node),
            Selection::FragmentSpread(_) => Ok(()),
        })
}
