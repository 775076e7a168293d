//! The document of a plan: a subscription without the arguments of its root field. Requests whose
//! documents have the same key share one plan.

use std::{collections::HashSet, convert::Infallible, fmt::Write};

use async_graphql::{
    Name, Positioned, Variables,
    parser::types::{
        Directive, DocumentOperations, ExecutableDocument, Field, FragmentDefinition,
        OperationDefinition, Selection, SelectionSet, VariableDefinition,
    },
};
use async_graphql_value::Value;

use super::{root, shapes::Shapes};

/// Approximate memory of a parsed document, in bytes for each byte of its text.
pub(super) const PARSED_BYTES_PER_BYTE: usize = 24;

/// The document that a plan executes.
#[derive(Clone, Debug)]
pub struct PlanDocument {
    /// One operation with one root field, which has only its required arguments.
    pub(in crate::schema) document: ExecutableDocument,
    /// The name of the root field.
    pub(in crate::schema) field: String,
    /// The variables that are used below the root field.
    pub(in crate::schema) variables: Variables,
    /// Equal for documents that give equal frames. It ignores white space, the names of operations,
    /// the order of fragments and of variables, and unused variables.
    pub key: String,
    /// Whether the name of some field begins with `viewer`. Then each viewer needs frames of their
    /// own (V2).
    pub depends_on_viewer: bool,
}

impl PlanDocument {
    /// Approximate memory of this document in bytes, for bounds.
    pub fn bytes(&self) -> usize {
        self.key.len() * PARSED_BYTES_PER_BYTE
    }

    /// The plan of a prepared subscription.
    ///
    /// The arguments of its root field are not part of the plan: `roomId` and `after` belong to the
    /// reader.
    pub(super) fn new(
        document: &ExecutableDocument,
        operation: &OperationDefinition,
        given: &Variables,
        shapes: &Shapes,
    ) -> Self {
        let root = root_field(operation);
        let field_name = root.node.name.node.to_string();
        let fragments = used_fragments(&root.node.selection_set.node, document);
        let mut printer = Printer::default();
        printer.selection_set(&root.node.selection_set.node);
        for (name, fragment) in &fragments {
            printer.fragment(name, &fragment.node);
        }

        let mut variables = Variables::default();
        let mut key = format!("{}:{field_name}", root.node.response_key().node);
        for (name, value) in given.iter() {
            if printer.variables.contains(name) {
                let _ = write!(key, "${name}={value}");
                variables.insert(name.clone(), value.clone());
            }
        }
        key.push_str(&printer.text);

        let mut field = root.clone();
        field.node.arguments = required_arguments(&root.node, given, shapes);
        let operation = with_root_field(operation, field, &printer.variables);
        let document = ExecutableDocument {
            operations: DocumentOperations::Single(operation),
            fragments: fragments
                .into_iter()
                .map(|(name, fragment)| (name.clone(), fragment.clone()))
                .collect(),
        };
        Self {
            document,
            field: field_name,
            variables,
            key,
            depends_on_viewer: printer.depends_on_viewer,
        }
    }
}

fn root_field(operation: &OperationDefinition) -> &Positioned<Field> {
    let mut selections = operation.selection_set.node.items.iter();
    selections
        .find_map(|selection| match &selection.node {
            Selection::Field(field) => Some(field),
            _ => None,
        })
        .expect("a prepared subscription has one root field")
}

/// The fragments that a selection uses, sorted by name.
fn used_fragments<'a>(
    set: &'a SelectionSet,
    document: &'a ExecutableDocument,
) -> Vec<(&'a Name, &'a Positioned<FragmentDefinition>)> {
    let mut names = HashSet::new();
    root::reached(set, &document.fragments, &mut names);
    let mut fragments: Vec<_> = names
        .into_iter()
        .map(|name| (name, &document.fragments[name]))
        .collect();
    fragments.sort_by_key(|(name, _)| *name);
    fragments
}

/// An operation of the same kind whose only root field is `field`. It defines only the variables in
/// `used`.
fn with_root_field(
    operation: &OperationDefinition,
    field: Positioned<Field>,
    used: &HashSet<Name>,
) -> Positioned<OperationDefinition> {
    let at = field.pos;
    let is_used =
        |definition: &&Positioned<VariableDefinition>| used.contains(&definition.node.name.node);
    let definition = OperationDefinition {
        ty: operation.ty,
        variable_definitions: operation
            .variable_definitions
            .iter()
            .filter(is_used)
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
/// resolver needs some value to run at all; in the mode Feed it ignores it, because each event
/// names its room.
fn required_arguments(
    field: &Field,
    variables: &Variables,
    shapes: &Shapes,
) -> Vec<(Positioned<Name>, Positioned<Value>)> {
    let required = shapes.required_arguments("Subscription", &field.name.node);
    let is_required = |name: &Name| required.iter().any(|required| required == name.as_str());
    field
        .arguments
        .iter()
        .filter(|(name, _)| is_required(&name.node))
        .map(|(name, value)| {
            let constant = value.node.clone().into_const_with(|variable| {
                let value = variables.get(&variable).cloned();
                Ok::<_, Infallible>(value.unwrap_or_default())
            });
            let Ok(constant) = constant;
            let value = Positioned::new(constant.into_value(), value.pos);
            (name.clone(), value)
        })
        .collect()
}

/// Prints selections in a canonical form, and collects the variables in them.
#[derive(Default)]
struct Printer {
    text: String,
    variables: HashSet<Name>,
    depends_on_viewer: bool,
}

impl Printer {
    fn fragment(&mut self, name: &Name, fragment: &FragmentDefinition) {
        let on = &fragment.type_condition.node.on.node;
        let _ = write!(self.text, "fragment {name} on {on}");
        self.directives(&fragment.directives);
        self.selection_set(&fragment.selection_set.node);
    }

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
