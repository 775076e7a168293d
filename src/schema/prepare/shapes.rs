//! The facts about the schema that this crate uses: its input types, the types of its fields, and
//! which fields are lists. It is read from the SDL once.

use std::collections::{HashMap, HashSet};

use async_graphql::{
    Positioned, Value,
    parser::{
        parse_schema,
        types::{BaseType, FieldDefinition, ServiceDocument, Type, TypeKind, TypeSystemDefinition},
    },
};

/// The types of the schema.
#[derive(Debug)]
pub(in crate::schema) struct Shapes {
    /// Input types by name.
    inputs: HashMap<String, InputType>,
    /// Fields by the name of their object or interface.
    outputs: HashMap<String, HashMap<String, OutputField>>,
    /// Names of the fields that are lists in some type.
    lists: HashSet<String>,
}

/// A field of an object or an interface.
#[derive(Debug)]
struct OutputField {
    ty: Type,
    /// The types of the arguments.
    arguments: Vec<(String, Type)>,
    /// Names of the required arguments.
    required_arguments: Vec<String>,
}

/// A type that a variable can have.
#[derive(Debug)]
enum InputType {
    Int,
    Float,
    String,
    Boolean,
    Id,
    /// A scalar that the schema defines. Its resolver checks the value.
    Custom,
    Enum(HashSet<String>),
    /// For each field: its name, its type, and whether it may be left out.
    Object(Vec<(String, Type, bool)>),
}

/// Why a value does not fit its type. The value itself is not part of the text: it may be long, or
/// a secret.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum CoercionError {
    /// Null, but the type is not nullable.
    #[error("Expected a value of type \"{0}\", found null.")]
    Null(String),
    /// A value of another type.
    #[error("The value is not a valid {0}.")]
    Type(String),
    /// An input object has a field that its type does not define.
    #[error("Field \"{field}\" is not defined by type \"{of}\".")]
    UnknownField { field: String, of: String },
    /// An input object lacks a required field.
    #[error("Field \"{field}\" of required type \"{ty}\" was not provided.")]
    MissingField { field: String, ty: String },
}

/// The integer that a float without a fraction is, if 64 bits can hold it exactly.
fn whole_number(value: &Value) -> Option<Value> {
    const EXACT_MAX: f64 = 9_007_199_254_740_991.0;
    let Value::Number(number) = value else {
        return None;
    };
    let float = number.as_f64().filter(|_| number.is_f64())?;
    let is_whole = float.fract() == 0.0 && float.abs() <= EXACT_MAX;
    #[allow(clippy::cast_possible_truncation)]
    is_whole.then(|| Value::Number((float as i64).into()))
}

impl Shapes {
    /// Reads the types from an SDL, which must parse.
    pub(in crate::schema) fn from_sdl(sdl: &str) -> Self {
        let document = parse_schema(sdl).expect("the schema's own SDL parses");
        let mut shapes = Self {
            inputs: HashMap::new(),
            outputs: HashMap::new(),
            lists: HashSet::new(),
        };
        for (name, input) in [
            ("Int", InputType::Int),
            ("Float", InputType::Float),
            ("String", InputType::String),
            ("Boolean", InputType::Boolean),
            ("ID", InputType::Id),
        ] {
            shapes.inputs.insert(name.to_owned(), input);
        }
        shapes.read(document);
        shapes
    }

    fn read(&mut self, document: ServiceDocument) {
        for definition in document.definitions {
            let TypeSystemDefinition::Type(definition) = definition else {
                continue;
            };
            let name = definition.node.name.node.to_string();
            match definition.node.kind {
                TypeKind::Scalar => {
                    self.inputs.entry(name).or_insert(InputType::Custom);
                }
                TypeKind::Enum(values) => {
                    let values = values
                        .values
                        .into_iter()
                        .map(|value| value.node.value.node.to_string())
                        .collect();
                    self.inputs.insert(name, InputType::Enum(values));
                }
                TypeKind::InputObject(object) => {
                    let fields = object.fields.into_iter().map(|field| {
                        let field = field.node;
                        let optional = field.default_value.is_some() || field.ty.node.nullable;
                        (field.name.node.to_string(), field.ty.node, optional)
                    });
                    self.inputs
                        .insert(name, InputType::Object(fields.collect()));
                }
                TypeKind::Object(object) => self.read_fields(name, &object.fields),
                TypeKind::Interface(interface) => self.read_fields(name, &interface.fields),
                TypeKind::Union(_) => {}
            }
        }
    }

    fn read_fields(&mut self, of: String, fields: &[Positioned<FieldDefinition>]) {
        let list = |ty: &Type| match &ty.base {
            BaseType::List(_) => true,
            BaseType::Named(name) => name.ends_with("Connection"),
        };
        let mut types = HashMap::new();
        for FieldDefinition {
            name,
            ty,
            arguments,
            ..
        } in fields.iter().map(|field| &field.node)
        {
            // The lists inside a connection are as long as the connection, where they are counted.
            if list(&ty.node) && !matches!(name.node.as_str(), "edges" | "nodes") {
                self.lists.insert(name.node.to_string());
            }
            let required_arguments = arguments
                .iter()
                .map(|argument| &argument.node)
                .filter(|argument| !argument.ty.node.nullable && argument.default_value.is_none())
                .map(|argument| argument.name.node.to_string())
                .collect();
            let arguments = arguments.iter().map(|argument| {
                let argument = &argument.node;
                (argument.name.node.to_string(), argument.ty.node.clone())
            });
            let field = OutputField {
                ty: ty.node.clone(),
                arguments: arguments.collect(),
                required_arguments,
            };
            types.insert(name.node.to_string(), field);
        }
        self.outputs.insert(of, types);
    }

    /// The type of a field of an object or an interface.
    pub(in crate::schema) fn field(&self, of: &str, name: &str) -> Option<&Type> {
        Some(&self.outputs.get(of)?.get(name)?.ty)
    }

    /// Names of the required arguments of a field.
    pub(super) fn required_arguments(&self, of: &str, name: &str) -> &[String] {
        let field = self.outputs.get(of).and_then(|fields| fields.get(name));
        field.map_or(&[], |field| &field.required_arguments)
    }

    /// The type of an argument of a field.
    pub(super) fn argument(&self, of: &str, field: &str, name: &str) -> Option<&Type> {
        let arguments = &self.outputs.get(of)?.get(field)?.arguments;
        let argument = arguments.iter().find(|(argument, _)| argument == name);
        argument.map(|(_, ty)| ty)
    }

    /// The type of a field of an input object.
    pub(super) fn input_field(&self, of: &str, name: &str) -> Option<&Type> {
        let InputType::Object(fields) = self.inputs.get(of)? else {
            return None;
        };
        let field = fields.iter().find(|(field, ..)| field == name);
        field.map(|(_, ty, _)| ty)
    }

    /// Whether a field of this name is a list in some type of the schema.
    pub(super) fn is_list(&self, field: &str) -> bool {
        self.lists.contains(field)
    }

    /// Coerces the value of a variable to its type (GraphQL, section 6.1.2).
    pub(super) fn coerce(&self, value: &Value, ty: &Type) -> Result<Value, CoercionError> {
        if matches!(value, Value::Null) {
            return if ty.nullable {
                Ok(Value::Null)
            } else {
                Err(CoercionError::Null(ty.to_string()))
            };
        }
        match (&ty.base, value) {
            (BaseType::List(inner), Value::List(items)) => Ok(Value::List(
                items
                    .iter()
                    .map(|item| self.coerce(item, inner))
                    .collect::<Result<_, _>>()?,
            )),
            // A single value counts as a list of one.
            (BaseType::List(inner), single) => Ok(Value::List(vec![self.coerce(single, inner)?])),
            (BaseType::Named(name), value) => self.coerce_named(value, name),
        }
    }

    fn coerce_named(&self, value: &Value, name: &str) -> Result<Value, CoercionError> {
        // Validation refuses a variable whose type is not an input type.
        let Some(input) = self.inputs.get(name) else {
            return Ok(value.clone());
        };
        // JSON has one kind of number: `1.0` and `1e1` are integers.
        let whole = whole_number(value).filter(|_| matches!(input, InputType::Int | InputType::Id));
        let value = whole.as_ref().unwrap_or(value);
        let fits = match (input, value) {
            (InputType::Custom, _) => true,
            (InputType::Int, Value::Number(number)) => {
                number.as_i64().is_some_and(|n| i32::try_from(n).is_ok())
            }
            (InputType::Float, Value::Number(_)) => true,
            (InputType::String | InputType::Id, Value::String(_)) => true,
            (InputType::Id, Value::Number(number)) => number.is_i64() || number.is_u64(),
            (InputType::Boolean, Value::Boolean(_)) => true,
            (InputType::Enum(values), Value::String(text)) => values.contains(text),
            (InputType::Enum(values), Value::Enum(text)) => values.contains(text.as_str()),
            (InputType::Object(fields), Value::Object(_)) => {
                return self.coerce_object(value, name, fields);
            }
            _ => false,
        };
        match (fits, value) {
            (true, Value::String(text)) if matches!(input, InputType::Enum(_)) => {
                Ok(Value::Enum(async_graphql::Name::new(text)))
            }
            (true, value) => Ok(value.clone()),
            (false, _) => Err(CoercionError::Type(name.to_owned())),
        }
    }

    fn coerce_object(
        &self,
        value: &Value,
        name: &str,
        fields: &[(String, Type, bool)],
    ) -> Result<Value, CoercionError> {
        let Value::Object(given) = value else {
            return Err(CoercionError::Type(name.to_owned()));
        };
        if let Some(unknown) = given
            .keys()
            .find(|key| !fields.iter().any(|(field, ..)| field == key.as_str()))
        {
            return Err(CoercionError::UnknownField {
                field: unknown.to_string(),
                of: name.to_owned(),
            });
        }
        let mut object = async_graphql::indexmap::IndexMap::new();
        for (field, ty, optional) in fields {
            match given.get(field.as_str()) {
                Some(value) => {
                    object.insert(async_graphql::Name::new(field), self.coerce(value, ty)?);
                }
                None if *optional => {}
                None => {
                    return Err(CoercionError::MissingField {
                        field: field.clone(),
                        ty: ty.to_string(),
                    });
                }
            }
        }
        Ok(Value::Object(object))
    }
}
