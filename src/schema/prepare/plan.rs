//! A subscription without what tells its subscribers apart: the document of a Plan, and the key that it is shared by.

use std::{collections::HashSet, convert::Infallible, fmt::Write};

use async_graphql::{
    Name, Positioned, Variables,
    parser::types::{
        Directive, DocumentOperations, ExecutableDocument, Field, OperationDefinition, Selection,
        SelectionSet, VariableDefinition,
    },
};
use async_graphql_value::Value;

use super::{Prepared, root};

/// What a Plan executes.
#[derive(Clone, Debug)]
pub struct PlanDocument {
    /// One operation with one root field, which has its required arguments only.
    pub(in crate::schema) document: ExecutableDocument,
    /// The name of that root field.
    pub(in crate::schema) field: String,
    /// The variables used below the root.
    pub(in crate::schema) variables: Variables,
    /// Equal for documents that give equal frames: white space, names of operations and fragments' order, the order of
    /// variables and unused ones make no difference.
    pub key: String,
    /// Some field of it is named `viewer…`: each viewer's frames are their own.
    pub depends_on_viewer: bool,
}

impl PlanDocument {
    /// About how many bytes of memory this document holds, for bounds.
    pub fn bytes(&self) -> usize {
        self.key.len() * super::PARSED_BYTES_PER_BYTE
    }

    /// The plan of a prepared subscription. Root arguments are no part of it: `roomId` and `after` are the reader's.
    pub(super) fn new(prepared: &Prepared) -> Self {
        let operation = prepared.operation();
        let mut field = operation
            .selection_set
            .node
            .items
            .iter()
            .find_map(|selection| match &selection.node {
                Selection::Field(field) => Some(field.clone()),
                _ => None,
            });
        let field = field
            .take()
            .expect("a prepared subscription has one root field");
        let field_name = field.node.name.node.to_string();
        let mut fragments = HashSet::new();
        root::reached(
            &field.node.selection_set.node,
            &prepared.document.fragments,
            &mut fragments,
        );
        let mut printer = Printer::default();
        printer.selection_set(&field.node.selection_set.node);
        let mut names: Vec<&Name> = fragments.into_iter().collect();
        names.sort();
        for name in &names {
            let fragment = &prepared.document.fragments[*name].node;
            let _ = write!(
                printer.text,
                "fragment {name} on {}",
                fragment.type_condition.node.on.node
            );
            printer.directives(&fragment.directives);
            printer.selection_set(&fragment.selection_set.node);
        }
        let depends_on_viewer = printer.depends_on_viewer;
        let used = printer.variables;
        let mut variables = Variables::default();
        let mut key = format!(
            "{}:{}",
            field.node.response_key().node,
            field.node.name.node
        );
        for (name, value) in prepared
            .variables
            .iter()
            .filter(|(name, _)| used.contains(*name))
        {
            let _ = write!(key, "${name}={value}");
            variables.insert(name.clone(), value.clone());
        }
        key.push_str(&printer.text);

        let fragments = names
            .into_iter()
            .map(|name| (name.clone(), prepared.document.fragments[name].clone()))
            .collect();
        let document = ExecutableDocument {
            operations: DocumentOperations::Single(operation_of(prepared, field, &used)),
            fragments,
        };
        Self {
            document,
            field: field_name,
            variables,
            key,
            depends_on_viewer,
        }
    }
}

fn operation_of(
    prepared: &Prepared,
    mut field: Positioned<Field>,
    used: &HashSet<Name>,
) -> Positioned<OperationDefinition> {
    let (operation, at) = (prepared.operation(), field.pos);
    field.node.arguments = required_arguments(prepared, &field.node);
    let wanted =
        |definition: &&Positioned<VariableDefinition>| used.contains(&definition.node.name.node);
    let definition = OperationDefinition {
        ty: operation.ty,
        variable_definitions: operation
            .variable_definitions
            .iter()
            .filter(wanted)
            .cloned()
            .collect(),
        directives: Vec::new(),
        selection_set: Positioned::new(
            SelectionSet {
                items: vec![Positioned::new(Selection::Field(field), at)],
            },
            at,
        ),
    };
    Positioned::new(definition, at)
}

/// The required arguments of the root field, with the values of the request that made the plan. The
/// resolver needs some value to run at all; in the mode Feed it ignores it, because each event names its
/// room.
fn required_arguments(
    prepared: &Prepared,
    field: &Field,
) -> Vec<(Positioned<Name>, Positioned<Value>)> {
    let required = prepared
        .shapes
        .required_arguments("Subscription", &field.name.node);
    let is_required = |name: &Name| required.iter().any(|required| required == name.as_str());
    field
        .arguments
        .iter()
        .filter(|(name, _)| is_required(&name.node))
        .map(|(name, value)| {
            let constant = value.node.clone().into_const_with(|variable| {
                let value = prepared.variables.get(&variable).cloned();
                Ok::<_, Infallible>(value.unwrap_or_default())
            });
            let Ok(constant) = constant;
            let value = Positioned::new(constant.into_value(), value.pos);
            (name.clone(), value)
        })
        .collect()
}

/// Writes selections in one spelling, and notes the variables in them, and whether they ask who asks.
#[derive(Default)]
struct Printer {
    text: String,
    variables: HashSet<Name>,
    depends_on_viewer: bool,
}

impl Printer {
    fn selection_set(&mut self, set: &SelectionSet) {
        if set.items.is_empty() {
            return;
        }
        self.text.push('{');
        for selection in &set.items {
            match &selection.node {
                Selection::Field(field) => self.field(&field.node),
                Selection::FragmentSpread(spread) => {
                    let _ = write!(self.text, "...{}", spread.node.fragment_name.node);
                    self.directives(&spread.node.directives);
                }
                Selection::InlineFragment(inline) => {
                    self.text.push_str("...");
                    if let Some(condition) = &inline.node.type_condition {
                        let _ = write!(self.text, " on {}", condition.node.on.node);
                    }
                    self.directives(&inline.node.directives);
                    self.selection_set(&inline.node.selection_set.node);
                }
            }
            self.text.push(' ');
        }
        self.text.push('}');
    }

    fn field(&mut self, field: &Field) {
        if let Some(alias) = &field.alias {
            let _ = write!(self.text, "{}:", alias.node);
        }
        self.text.push_str(&field.name.node);
        self.depends_on_viewer |= field.name.node.starts_with("viewer");
        self.arguments(&field.arguments);
        self.directives(&field.directives);
        self.selection_set(&field.selection_set.node);
    }

    fn directives(&mut self, directives: &[Positioned<Directive>]) {
        for directive in directives {
            let _ = write!(self.text, "@{}", directive.node.name.node);
            self.arguments(&directive.node.arguments);
        }
    }

    fn arguments(&mut self, arguments: &[(Positioned<Name>, Positioned<Value>)]) {
        let mut sorted: Vec<_> = arguments
            .iter()
            .map(|(name, value)| (&name.node, &value.node))
            .collect();
        sorted.sort_by_key(|(name, _)| *name);
        for (name, value) in sorted {
            let _ = write!(self.text, "({name}:{value})");
            self.value(value);
        }
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Variable(name) => {
                self.variables.insert(name.clone());
            }
            Value::List(items) => items.iter().for_each(|item| self.value(item)),
            Value::Object(fields) => fields.values().for_each(|field| self.value(field)),
            _ => {}
        }
    }
}
