//! Rewrites a document for given variables, where the library would misread it.
//!
//! - An argument whose variable is absent counts as not written (GraphQL, section 6.4.1), so its
//!   default applies. The library would take it for null, so the argument is removed.
//! - The library takes a variable that only directives use for an unused one. So the variable is
//!   replaced by its value there.

use std::collections::{HashMap, HashSet};

use async_graphql::{
    Name, Positioned, Variables,
    parser::types::{
        Directive, DocumentOperations, ExecutableDocument, OperationDefinition, Selection,
        SelectionSet,
    },
};
use async_graphql_value::Value;

use super::{operation::operation, root::reached};

/// The document to run instead, or `None` if the document can run as it is.
///
/// The result contains only the chosen operation and the fragments that it uses. Shared fragments
/// lose variables, which other operations would then define without using them.
pub(super) fn specialise(
    document: &ExecutableDocument,
    chosen: Option<&str>,
    variables: &Variables,
) -> Option<ExecutableDocument> {
    let mut operation = operation(document, chosen).ok()?.clone();
    let defined: HashSet<Name> = operation
        .node
        .variable_definitions
        .iter()
        .map(|definition| definition.node.name.node.clone())
        .collect();
    if defined.is_empty() {
        return None;
    }
    let mut found = HashSet::new();
    reached(
        &operation.node.selection_set.node,
        &document.fragments,
        &mut found,
    );
    let mut fragments: HashMap<_, _> = found
        .into_iter()
        .map(|name| (name.clone(), document.fragments[name].clone()))
        .collect();

    let mut rewrite = VariableRewrite {
        defined,
        variables,
        removed: HashSet::new(),
        remaining: HashSet::new(),
    };
    rewrite.in_selections(&mut operation.node.selection_set.node);
    for fragment in fragments.values_mut() {
        rewrite.in_selections(&mut fragment.node.selection_set.node);
    }
    if rewrite.removed.is_empty() {
        return None;
    }
    // Validation refuses an operation that defines a variable and does not use it.
    let is_unused =
        |name: &Name| rewrite.removed.contains(name) && !rewrite.remaining.contains(name);
    operation
        .node
        .variable_definitions
        .retain(|definition| !is_unused(&definition.node.name.node));
    Some(ExecutableDocument {
        operations: only(chosen, operation),
        fragments,
    })
}

/// Whether an argument of a directive is a variable, anywhere in a document.
pub(super) fn has_directive_variables(document: &ExecutableDocument) -> bool {
    let operations = document
        .operations
        .iter()
        .map(|(_, operation)| &operation.node.selection_set.node);
    let fragments = document
        .fragments
        .values()
        .map(|fragment| &fragment.node.selection_set.node);
    operations.chain(fragments).any(uses_directive_variables)
}

fn uses_directive_variables(set: &SelectionSet) -> bool {
    set.items.iter().any(|selection| {
        let arguments = selection
            .node
            .directives()
            .iter()
            .flat_map(|directive| &directive.node.arguments);
        let below = match &selection.node {
            Selection::Field(field) => uses_directive_variables(&field.node.selection_set.node),
            Selection::InlineFragment(inline) => {
                uses_directive_variables(&inline.node.selection_set.node)
            }
            Selection::FragmentSpread(_) => false,
        };
        below
            || arguments
                .into_iter()
                .any(|(_, value)| matches!(value.node, Value::Variable(_)))
    })
}

/// The operations of a document that contains only this one.
fn only(name: Option<&str>, operation: Positioned<OperationDefinition>) -> DocumentOperations {
    match name {
        None => DocumentOperations::Single(operation),
        Some(name) => DocumentOperations::Multiple(HashMap::from([(Name::new(name), operation)])),
    }
}

/// Rewrites the selections of a document.
struct VariableRewrite<'a> {
    /// The variables that the operation defines.
    defined: HashSet<Name>,
    variables: &'a Variables,
    /// Variables that were removed from some place.
    removed: HashSet<Name>,
    /// Variables that remain at some place.
    remaining: HashSet<Name>,
}

impl VariableRewrite<'_> {
    fn in_selections(&mut self, set: &mut SelectionSet) {
        for selection in &mut set.items {
            self.in_directives(selection.node.directives_mut());
            match &mut selection.node {
                Selection::Field(field) => {
                    field
                        .node
                        .arguments
                        .retain_mut(|(_, value)| self.keep(&mut value.node));
                    self.in_selections(&mut field.node.selection_set.node);
                }
                Selection::InlineFragment(inline) => {
                    self.in_selections(&mut inline.node.selection_set.node)
                }
                Selection::FragmentSpread(_) => {}
            }
        }
    }

    fn in_directives(&mut self, directives: &mut [Positioned<Directive>]) {
        for (_, value) in directives
            .iter_mut()
            .flat_map(|directive| &mut directive.node.arguments)
        {
            let Value::Variable(name) = &value.node else {
                continue;
            };
            let Some(given) = self.variables.get(name) else {
                continue;
            };
            let given = given.clone().into_value();
            self.removed.insert(name.clone());
            value.node = given;
        }
    }

    /// Whether a value is present, so that its argument stays. Absent fields of objects inside it
    /// are removed, and absent list entries become null.
    fn keep(&mut self, value: &mut Value) -> bool {
        match value {
            Value::Variable(name)
                if self.defined.contains(name) && !self.variables.contains_key(name) =>
            {
                self.removed.insert(name.clone());
                return false;
            }
            Value::Variable(name) => {
                self.remaining.insert(name.clone());
            }
            Value::Object(fields) => fields.retain(|_, value| self.keep(value)),
            Value::List(items) => {
                for item in items {
                    if !self.keep(item) {
                        *item = Value::Null;
                    }
                }
            }
            _ => {}
        }
        true
    }
}
