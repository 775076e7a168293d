//! Coerces the variables of a request to their definitions, before anything runs.

use async_graphql::{Variables, parser::types::OperationDefinition};

use super::shapes::Shapes;
use crate::schema::error::{ApiError, Code};

/// The variables that an operation runs with: defaults are filled in, and variables that the
/// operation does not define are dropped.
///
/// # Errors
/// BAD_USER_INPUT for each variable that is missing or does not fit its type.
pub(super) fn coerce(
    operation: &OperationDefinition,
    given: &Variables,
    shapes: &Shapes,
) -> Result<Variables, Vec<ApiError>> {
    let (mut coerced, mut errors) = (Variables::default(), Vec::new());
    for definition in &operation.variable_definitions {
        let (name, ty) = (&definition.node.name.node, &definition.node.var_type.node);
        let refuse =
            |message: String| ApiError::new(Code::BadUserInput, message).at(definition.pos);
        let value = match (given.get(name), &definition.node.default_value) {
            (Some(value), _) => shapes.coerce(value, ty).map_err(|reason| {
                refuse(format!(
                    "Variable \"${name}\" got an invalid value: {reason}"
                ))
            }),
            (None, Some(default)) => Ok(default.node.clone()),
            (None, None) if ty.nullable => continue,
            (None, None) => Err(refuse(format!(
                "Variable \"${name}\" of required type \"{ty}\" was not provided."
            ))),
        };
        match value {
            Ok(value) => {
                coerced.insert(name.clone(), value);
            }
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() {
        Ok(coerced)
    } else {
        Err(errors)
    }
}
