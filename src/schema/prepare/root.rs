//! Folds the root of a subscription into one field: fragments are expanded, and equal fields
//! merged.
//!
//! The executor of the library gives an empty stream for a root field inside a fragment, and two
//! streams for a root field that is written twice. So neither reaches it.

use std::collections::HashSet;

use async_graphql::{
    Name, Pos, Positioned,
    parser::types::{
        ExecutableDocument, Field, FragmentDefinition, OperationDefinition, Selection, SelectionSet,
    },
};

use super::operation::operation_mut;
use crate::schema::error::{ApiError, Code};

type Fragments = std::collections::HashMap<Name, Positioned<FragmentDefinition>>;

/// The only root field of a subscription.
///
/// # Errors
/// GRAPHQL_VALIDATION_FAILED if there is no field or more than one, if it is an introspection
/// field, or if the root has a directive.
pub(super) fn single_field(
    operation: &OperationDefinition,
    fragments: &Fragments,
) -> Result<Positioned<Field>, ApiError> {
    let mut root = RootFold {
        fragments,
        field: None,
        spread: HashSet::new(),
    };
    root.fold(&operation.selection_set.node)?;
    root.field.ok_or_else(|| {
        refuse(
            "A subscription must select one field.",
            operation.selection_set.pos,
        )
    })
}

/// A validation error at a position.
fn refuse(message: impl Into<String>, at: Pos) -> ApiError {
    ApiError::new(Code::GraphqlValidationFailed, message).at(at)
}

/// The fold so far.
struct RootFold<'a> {
    fragments: &'a Fragments,
    field: Option<Positioned<Field>>,
    /// Fragments that were expanded already.
    spread: HashSet<&'a Name>,
}

impl<'a> RootFold<'a> {
    fn fold(&mut self, set: &'a SelectionSet) -> Result<(), ApiError> {
        set.items
            .iter()
            .try_for_each(|selection| self.selection(selection))
    }

    fn selection(&mut self, selection: &'a Positioned<Selection>) -> Result<(), ApiError> {
        if let Some(directive) = selection.node.directives().first() {
            let name = &directive.node.name.node;
            let message = format!(
                "@{name} is not supported on the root of a subscription, whose only field cannot be left out."
            );
            return Err(refuse(message, directive.pos));
        }
        match &selection.node {
            Selection::Field(field) => self.field(field),
            Selection::InlineFragment(inline) => {
                let on = inline
                    .node
                    .type_condition
                    .as_ref()
                    .map(|condition| &condition.node.on.node);
                self.check_type(on, selection.pos)?;
                self.fold(&inline.node.selection_set.node)
            }
            Selection::FragmentSpread(spread) => {
                let name = &spread.node.fragment_name;
                let Some((key, fragment)) = self.fragments.get_key_value(&name.node) else {
                    return Err(refuse(
                        format!("Unknown fragment: \"{}\"", name.node),
                        name.pos,
                    ));
                };
                self.check_type(
                    Some(&fragment.node.type_condition.node.on.node),
                    selection.pos,
                )?;
                // A fragment that is spread twice adds nothing the second time.
                if self.spread.insert(key) {
                    self.fold(&fragment.node.selection_set.node)
                } else {
                    Ok(())
                }
            }
        }
    }

    /// Refuses a fragment on another type.
    fn check_type(&self, on: Option<&Name>, at: Pos) -> Result<(), ApiError> {
        match on {
            Some(name) if name != "Subscription" => Err(refuse(
                format!("Fragment on \"{name}\" can never apply to \"Subscription\"."),
                at,
            )),
            _ => Ok(()),
        }
    }

    /// Takes the first field, and merges further ones into it.
    fn field(&mut self, field: &'a Positioned<Field>) -> Result<(), ApiError> {
        if field.node.name.node.starts_with("__") {
            return Err(refuse(
                "A subscription must not select an introspection field at its root.",
                field.pos,
            ));
        }
        let Some(first) = &mut self.field else {
            self.field = Some(field.clone());
            return Ok(());
        };
        if first.node.response_key().node != field.node.response_key().node {
            return Err(refuse(
                "A subscription must select only one top level field.",
                field.pos,
            ));
        }
        if first.node.name.node != field.node.name.node || !same_arguments(&first.node, &field.node)
        {
            let key = &field.node.response_key().node;
            return Err(refuse(
                format!("Fields \"{key}\" conflict: they differ in name or arguments."),
                field.pos,
            ));
        }
        first
            .node
            .selection_set
            .node
            .items
            .extend(field.node.selection_set.node.items.iter().cloned());
        Ok(())
    }
}

fn same_arguments(a: &Field, b: &Field) -> bool {
    a.arguments.len() == b.arguments.len()
        && a.arguments.iter().all(|(name, value)| {
            b.get_argument(&name.node)
                .is_some_and(|other| other.node == value.node)
        })
}

/// Adds the names of all fragments that a selection uses, directly or through other fragments.
pub(super) fn reached<'a>(
    set: &'a SelectionSet,
    fragments: &'a Fragments,
    found: &mut HashSet<&'a Name>,
) {
    for selection in &set.items {
        match &selection.node {
            Selection::Field(field) => reached(&field.node.selection_set.node, fragments, found),
            Selection::InlineFragment(inline) => {
                reached(&inline.node.selection_set.node, fragments, found)
            }
            Selection::FragmentSpread(spread) => {
                let Some((name, fragment)) =
                    fragments.get_key_value(&spread.node.fragment_name.node)
                else {
                    continue;
                };
                if found.insert(name) {
                    reached(&fragment.node.selection_set.node, fragments, found);
                }
            }
        }
    }
}

/// Makes `field` the only root field of the operation. Removes fragments that are unused from then
/// on, because validation would refuse them; fragments that were unused before stay, to be refused.
pub(super) fn write_back(
    document: &mut ExecutableDocument,
    operation_name: Option<&str>,
    field: Positioned<Field>,
) {
    let used = |document: &ExecutableDocument| -> HashSet<Name> {
        let mut found = HashSet::new();
        for (_, operation) in document.operations.iter() {
            reached(
                &operation.node.selection_set.node,
                &document.fragments,
                &mut found,
            );
        }
        found.into_iter().cloned().collect()
    };
    let before = used(document);
    let Some(operation) = operation_mut(document, operation_name) else {
        return;
    };
    let at = field.pos;
    operation.node.selection_set.node.items = vec![Positioned::new(Selection::Field(field), at)];
    let after = used(document);
    document
        .fragments
        .retain(|name, _| after.contains(name) || !before.contains(name));
}
