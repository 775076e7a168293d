//! Integers in a document that do not fit 64 bits.
//!
//! Their meaning depends on the type: an ID keeps every digit, a Float is rounded, and an Int is
//! out of range.

use async_graphql::parser::types::{
    BaseType, DocumentOperations, ExecutableDocument, Field, OperationType, Selection,
    SelectionSet, Type,
};
use async_graphql_value::Value;

use super::shapes::Shapes;
use crate::schema::syntax::{float, long_int};

/// The digits that every `i64` of fewer digits fits.
const DIGITS_MIN: usize = 19;

/// Gives each integer that does not fit 64 bits the value that it has as its type. One that has
/// none stays an enum value without a valid name, which validation refuses.
pub(super) fn convert_long_integers(
    document: &mut ExecutableDocument,
    text: &str,
    shapes: &Shapes,
) {
    if !has_long_number(text) {
        return;
    }
    let operations = match &mut document.operations {
        DocumentOperations::Single(operation) => vec![operation],
        DocumentOperations::Multiple(all) => all.values_mut().collect(),
    };
    for operation in operations {
        let operation = &mut operation.node;
        for definition in &mut operation.variable_definitions {
            let definition = &mut definition.node;
            if let Some(default) = &mut definition.default_value {
                let mut value = std::mem::take(&mut default.node).into_value();
                convert(&mut value, Some(&definition.var_type.node), shapes);
                default.node = value.into_const().unwrap_or_default();
            }
        }
        let root = match operation.ty {
            OperationType::Query => "Query",
            OperationType::Mutation => "Mutation",
            OperationType::Subscription => "Subscription",
        };
        in_selections(&mut operation.selection_set.node, Some(root), shapes);
    }
    for fragment in document.fragments.values_mut() {
        let of = fragment.node.type_condition.node.on.node.clone();
        in_selections(&mut fragment.node.selection_set.node, Some(&of), shapes);
    }
}

fn has_long_number(text: &str) -> bool {
    let runs = text.as_bytes().split(|byte| !byte.is_ascii_digit());
    runs.into_iter().any(|run| run.len() >= DIGITS_MIN)
}

fn in_selections(set: &mut SelectionSet, of: Option<&str>, shapes: &Shapes) {
    for selection in &mut set.items {
        match &mut selection.node {
            Selection::Field(field) => in_field(&mut field.node, of, shapes),
            Selection::InlineFragment(inline) => {
                let condition = inline.node.type_condition.as_ref();
                let condition = condition.map(|condition| condition.node.on.node.clone());
                let of = condition.as_deref().or(of);
                in_selections(&mut inline.node.selection_set.node, of, shapes);
            }
            Selection::FragmentSpread(_) => {}
        }
    }
}

fn in_field(field: &mut Field, of: Option<&str>, shapes: &Shapes) {
    let name = field.name.node.as_str();
    for (argument, value) in &mut field.arguments {
        let ty = of.and_then(|of| shapes.argument(of, name, &argument.node));
        convert(&mut value.node, ty, shapes);
    }
    let inner = of.and_then(|of| shapes.field(of, name)).map(named);
    in_selections(&mut field.selection_set.node, inner, shapes);
}

fn convert(value: &mut Value, ty: Option<&Type>, shapes: &Shapes) {
    let Some(ty) = ty else {
        return;
    };
    match value {
        Value::List(items) => {
            let inner = match &ty.base {
                BaseType::List(inner) => inner,
                BaseType::Named(_) => ty,
            };
            for item in items {
                convert(item, Some(inner), shapes);
            }
        }
        Value::Object(fields) => {
            for (name, value) in fields {
                convert(value, shapes.input_field(named(ty), name), shapes);
            }
        }
        _ => {
            let converted = match (named(ty), long_int(value)) {
                ("ID", Some(text)) => Some(Value::String(text.to_owned())),
                ("Float", Some(text)) => float(text),
                _ => None,
            };
            if let Some(converted) = converted {
                *value = converted;
            }
        }
    }
}

/// The name of a type, without its lists.
fn named(ty: &Type) -> &str {
    match &ty.base {
        BaseType::Named(name) => name,
        BaseType::List(inner) => named(inner),
    }
}
