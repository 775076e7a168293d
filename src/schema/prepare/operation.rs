//! Chooses the operation of a document that a request runs.

use async_graphql::{
    Positioned,
    parser::types::{DocumentOperations, ExecutableDocument, OperationDefinition},
};

use crate::schema::error::{ApiError, Code};

/// The operation that a request names, or the only one of the document.
///
/// # Errors
/// GRAPHQL_VALIDATION_FAILED if there is no operation of this name, or if the request names none of
/// several.
pub(in crate::schema) fn operation<'a>(
    document: &'a ExecutableDocument,
    name: Option<&str>,
) -> Result<&'a Positioned<OperationDefinition>, ApiError> {
    let failed = |message: String| ApiError::new(Code::GraphqlValidationFailed, message);
    match (&document.operations, name) {
        (DocumentOperations::Single(operation), None) => Ok(operation),
        (DocumentOperations::Multiple(operations), Some(name)) => operations
            .get(name)
            .ok_or_else(|| failed(format!("Unknown operation named \"{name}\"."))),
        (DocumentOperations::Single(_), Some(name)) => {
            Err(failed(format!("Unknown operation named \"{name}\".")))
        }
        (DocumentOperations::Multiple(operations), None) => match operations.values().next() {
            Some(operation) if operations.len() == 1 => Ok(operation),
            _ => Err(failed(
                "The document has several operations: name one of them in operationName."
                    .to_owned(),
            )),
        },
    }
}

/// The operation that [`operation`] chooses, mutable.
pub(super) fn operation_mut<'a>(
    document: &'a mut ExecutableDocument,
    name: Option<&str>,
) -> Option<&'a mut Positioned<OperationDefinition>> {
    match (&mut document.operations, name) {
        (DocumentOperations::Single(operation), _) => Some(operation),
        (DocumentOperations::Multiple(operations), Some(name)) => operations.get_mut(name),
        (DocumentOperations::Multiple(operations), None) => operations.values_mut().next(),
    }
}
