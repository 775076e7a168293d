//! A document made ready for these variables, where the library would misread them.
//!
//! An argument whose variable is absent is as if it was not written (GraphQL, section 6.4.1), so that its default holds;
//! the library would take it for null. A variable that only a directive uses is, to the library, an unused one; so a
//! directive gets the value itself.

use std::collections::{HashMap, HashSet};

use async_graphql::{
    Name, Positioned, Variables,
    parser::types::{
        Directive, DocumentOperations, ExecutableDocument, OperationDefinition, Selection,
        SelectionSet,
    },
};
use async_graphql_value::Value;

use super::{operation, root::reached};

/// The document to run instead, if this one needs it: the chosen operation and the fragments that it reaches. Other
/// operations would miss the variables that shared fragments lose.
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

    let mut work = Work {
        defined,
        variables,
        taken: HashSet::new(),
        left: HashSet::new(),
    };
    work.in_selections(&mut operation.node.selection_set.node);
    for fragment in fragments.values_mut() {
        work.in_selections(&mut fragment.node.selection_set.node);
    }
    if work.taken.is_empty() {
        return None;
    }
    // One that no longer stands anywhere would count as unused.
    let gone = |name: &Name| work.taken.contains(name) && !work.left.contains(name);
    operation
        .node
        .variable_definitions
        .retain(|definition| !gone(&definition.node.name.node));
    Some(ExecutableDocument {
        operations: alone(chosen, operation),
        fragments,
    })
}

/// Whether some directive's argument is a variable, anywhere in a document.
pub(super) fn has_directive_variables(document: &ExecutableDocument) -> bool {
    let operations = document
        .operations
        .iter()
        .map(|(_, operation)| &operation.node.selection_set.node);
    let fragments = document
        .fragments
        .values()
        .map(|fragment| &fragment.node.selection_set.node);
    operations.chain(fragments).any(in_set)
}

fn in_set(set: &SelectionSet) -> bool {
    set.items.iter().any(|selection| {
        let arguments = selection
            .node
            .directives()
            .iter()
            .flat_map(|directive| &directive.node.arguments);
        let below = match &selection.node {
            Selection::Field(field) => in_set(&field.node.selection_set.node),
            Selection::InlineFragment(inline) => in_set(&inline.node.selection_set.node),
            Selection::FragmentSpread(_) => false,
        };
        below
            || arguments
                .into_iter()
                .any(|(_, value)| matches!(value.node, Value::Variable(_)))
    })
}

fn alone(name: Option<&str>, operation: Positioned<OperationDefinition>) -> DocumentOperations {
    match name {
        None => DocumentOperations::Single(operation),
        Some(name) => DocumentOperations::Multiple(HashMap::from([(Name::new(name), operation)])),
    }
}

struct Work<'a> {
    defined: HashSet<Name>,
    variables: &'a Variables,
    /// Variables that stood somewhere and no longer do.
    taken: HashSet<Name>,
    /// Variables that still stand somewhere.
    left: HashSet<Name>,
}

impl Work<'_> {
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
            let Some(known) = self.variables.get(name) else {
                continue;
            };
            let known = known.clone().into_value();
            self.taken.insert(name.clone());
            value.node = known;
        }
    }

    /// Whether a value is there at all; object fields inside it that are not are taken out, list items become null.
    fn keep(&mut self, value: &mut Value) -> bool {
        match value {
            Value::Variable(name)
                if self.defined.contains(name) && !self.variables.contains_key(name) =>
            {
                self.taken.insert(name.clone());
                return false;
            }
            Value::Variable(name) => {
                self.left.insert(name.clone());
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
