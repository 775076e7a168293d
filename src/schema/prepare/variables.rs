//! Variables by their definitions: defaults filled in, missing or wrong ones refused before anything runs.

use std::collections::HashSet;

use async_graphql::{
    Name, Positioned, Value as Const, Variables,
    parser::types::{ExecutableDocument, OperationDefinition, Selection, SelectionSet},
};
use async_graphql_value::Value;

use super::Shapes;
use crate::schema::error::{ApiError, Code};

/// The variables that an operation runs with. Those it does not define are left out.
pub(super) fn coerce(
    operation: &OperationDefinition,
    given: &Variables,
    shapes: &Shapes,
) -> Result<Variables, Vec<ApiError>> {
    let (mut coerced, mut errors) = (Variables::default(), Vec::new());
    for definition in &operation.variable_definitions {
        let (name, ty) = (&definition.node.name.node, &definition.node.var_type.node);
        let refuse = |message: String| ApiError::new(Code::BadUserInput, message).at(definition.pos);
        let value = match (given.get(name), &definition.node.default_value) {
            (Some(value), _) => shapes
                .coerce(value, ty)
                .map_err(|reason| refuse(format!("Variable \"${name}\" got an invalid value: {reason}"))),
            (None, Some(default)) => Ok(default.node.clone()),
            (None, None) if ty.nullable => continue,
            (None, None) => Err(refuse(format!("Variable \"${name}\" of required type \"{ty}\" was not provided."))),
        };
        match value {
            Ok(value) => {
                coerced.insert(name.clone(), value);
            }
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(coerced) } else { Err(errors) }
}

/// The nullable variables that an operation defines and nobody gave.
pub(super) fn absent(operation: &OperationDefinition, coerced: &Variables) -> HashSet<Name> {
    let names = operation.variable_definitions.iter().map(|definition| definition.node.name.node.clone());
    names.filter(|name| !coerced.contains_key(name)).collect()
}

/// Takes out the arguments whose variable is absent: such an argument is as if it was not written (GraphQL, section
/// 6.4.1), so that its default holds. The library would take it for null.
pub(super) fn drop_absent(document: &mut ExecutableDocument, absent: &HashSet<Name>) {
    use async_graphql::parser::types::DocumentOperations::{Multiple, Single};
    let operations: Vec<&mut Positioned<OperationDefinition>> = match &mut document.operations {
        Single(operation) => vec![operation],
        Multiple(operations) => operations.values_mut().collect(),
    };
    for operation in operations {
        in_selections(&mut operation.node.selection_set.node, absent);
    }
    for fragment in document.fragments.values_mut() {
        in_selections(&mut fragment.node.selection_set.node, absent);
    }
}

fn in_selections(set: &mut SelectionSet, absent: &HashSet<Name>) {
    for selection in &mut set.items {
        match &mut selection.node {
            Selection::Field(field) => {
                field.node.arguments.retain_mut(|(_, value)| keep(&mut value.node, absent));
                in_selections(&mut field.node.selection_set.node, absent);
            }
            Selection::InlineFragment(inline) => in_selections(&mut inline.node.selection_set.node, absent),
            Selection::FragmentSpread(_) => {}
        }
    }
}

/// Whether a value is there at all; object fields inside it that are not are taken out, list items become null.
fn keep(value: &mut Value, absent: &HashSet<Name>) -> bool {
    match value {
        Value::Variable(name) => !absent.contains(name),
        Value::Object(fields) => {
            fields.retain(|_, value| keep(value, absent));
            true
        }
        Value::List(items) => {
            for item in items {
                if !keep(item, absent) {
                    *item = Const::Null.into_value();
                }
            }
            true
        }
        _ => true,
    }
}
