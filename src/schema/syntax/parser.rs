//! Builds the syntax tree of an executable document, by recursive descent.

use std::collections::{HashMap, hash_map::Entry};

use async_graphql::{
    Name, Pos, Positioned,
    indexmap::IndexMap,
    parser::types::{
        BaseType, Directive, DocumentOperations, ExecutableDocument, Field, FragmentDefinition,
        FragmentSpread, InlineFragment, OperationDefinition, OperationType, Selection,
        SelectionSet, Type, TypeCondition, VariableDefinition,
    },
};
use async_graphql_value::Value;

use super::{
    SyntaxError,
    lexer::{Lexer, Token},
    number,
};

/// Levels of nesting that a document may have. The limit of the configuration is lower; this one
/// keeps the recursion safe in any case.
const NESTING_MAX: usize = 250;

type Parsed<T> = Result<T, SyntaxError>;

/// Parses the text of an executable document.
///
/// # Errors
/// The text does not follow the grammar, has no operation, has two operations or fragments of one
/// name, or has an unnamed operation beside another.
pub fn parse_document(text: &str) -> Result<ExecutableDocument, SyntaxError> {
    let mut lexer = Lexer::new(text);
    let (token, position) = lexer.next()?;
    let mut parser = Parser {
        lexer,
        token,
        position,
        nesting: 0,
    };
    parser.document()
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    /// The token that is looked at, and where it begins.
    token: Token<'a>,
    position: Pos,
    nesting: usize,
}

/// The operations of a document, while it is parsed.
#[derive(Default)]
struct Operations {
    unnamed: Option<Positioned<OperationDefinition>>,
    named: HashMap<Name, Positioned<OperationDefinition>>,
}

impl Operations {
    fn insert(
        &mut self,
        name: Option<Name>,
        operation: Positioned<OperationDefinition>,
    ) -> Parsed<()> {
        let position = operation.pos;
        let alone = self.unnamed.is_none() && (name.is_some() || self.named.is_empty());
        if !alone {
            let message = "An operation without a name must be the only one of its document.";
            return Err(SyntaxError::at(position, message));
        }
        let Some(name) = name else {
            self.unnamed = Some(operation);
            return Ok(());
        };
        match self.named.entry(name) {
            Entry::Occupied(entry) => {
                let message = format!("There are two operations named \"{}\".", entry.key());
                Err(SyntaxError::at(position, message))
            }
            Entry::Vacant(entry) => {
                entry.insert(operation);
                Ok(())
            }
        }
    }

    fn finish(self) -> Parsed<DocumentOperations> {
        match self.unnamed {
            Some(operation) => Ok(DocumentOperations::Single(operation)),
            None if self.named.is_empty() => Err(SyntaxError {
                message: "The document has no operation.".to_owned(),
                position: None,
            }),
            None => Ok(DocumentOperations::Multiple(self.named)),
        }
    }
}

impl<'a> Parser<'a> {
    // --- tokens ---

    /// Takes the current token, and reads the next one.
    fn advance(&mut self) -> Parsed<Token<'a>> {
        let (next, position) = self.lexer.next()?;
        self.position = position;
        Ok(std::mem::replace(&mut self.token, next))
    }

    fn is(&self, punctuator: char) -> bool {
        self.token == Token::Punctuator(punctuator)
    }

    /// Takes this punctuator, if it is the current token.
    fn take(&mut self, punctuator: char) -> Parsed<bool> {
        let is = self.is(punctuator);
        if is {
            self.advance()?;
        }
        Ok(is)
    }

    fn expect(&mut self, punctuator: char) -> Parsed<()> {
        if self.take(punctuator)? {
            Ok(())
        } else {
            Err(self.unexpected(&format!("\"{punctuator}\"")))
        }
    }

    fn unexpected(&self, expected: &str) -> SyntaxError {
        let message = format!("Expected {expected}, found {}.", self.token);
        SyntaxError::at(self.position, message)
    }

    fn name(&mut self, expected: &str) -> Parsed<Positioned<Name>> {
        let Token::Name(text) = self.token else {
            return Err(self.unexpected(expected));
        };
        let name = Positioned::new(Name::new(text), self.position);
        self.advance()?;
        Ok(name)
    }

    /// Skips a description. It has no meaning for the execution.
    fn description(&mut self) -> Parsed<bool> {
        let is_text = matches!(self.token, Token::Text(_));
        if is_text {
            self.advance()?;
        }
        Ok(is_text)
    }

    /// Parses at least one item between two brackets.
    fn several<T>(
        &mut self,
        [open, close]: [char; 2],
        item: impl FnMut(&mut Self) -> Parsed<T>,
    ) -> Parsed<Vec<T>> {
        self.any([open, close], item, 1)
    }

    /// Parses at least `min` items between two brackets.
    fn any<T>(
        &mut self,
        [open, close]: [char; 2],
        mut item: impl FnMut(&mut Self) -> Parsed<T>,
        min: usize,
    ) -> Parsed<Vec<T>> {
        self.expect(open)?;
        self.nesting += 1;
        if self.nesting > NESTING_MAX {
            return Err(SyntaxError::at(
                self.position,
                "The document is nested too deeply.",
            ));
        }
        let mut items = Vec::new();
        while items.len() < min || !self.is(close) {
            items.push(item(self)?);
        }
        self.advance()?;
        self.nesting -= 1;
        Ok(items)
    }

    // --- definitions ---

    fn document(&mut self) -> Parsed<ExecutableDocument> {
        let mut operations = Operations::default();
        let mut fragments = HashMap::new();
        while self.token != Token::End {
            let is_described = self.description()?;
            let begin = self.position;
            match self.token {
                Token::Name("fragment") => {
                    let (name, fragment) = self.fragment()?;
                    match fragments.entry(name.node) {
                        Entry::Occupied(entry) => {
                            let message =
                                format!("There are two fragments named \"{}\".", entry.key());
                            return Err(SyntaxError::at(name.pos, message));
                        }
                        Entry::Vacant(entry) => {
                            entry.insert(Positioned::new(fragment, begin));
                        }
                    }
                }
                Token::Punctuator('{') if is_described => {
                    let message = "An operation without a keyword has no description.";
                    return Err(SyntaxError::at(begin, message));
                }
                Token::Punctuator('{') => {
                    let operation = OperationDefinition {
                        ty: OperationType::Query,
                        variable_definitions: Vec::new(),
                        directives: Vec::new(),
                        selection_set: self.selection_set()?,
                    };
                    operations.insert(None, Positioned::new(operation, begin))?;
                }
                _ => {
                    let (name, operation) = self.operation()?;
                    operations.insert(name, Positioned::new(operation, begin))?;
                }
            }
        }
        Ok(ExecutableDocument {
            operations: operations.finish()?,
            fragments,
        })
    }

    fn operation(&mut self) -> Parsed<(Option<Name>, OperationDefinition)> {
        let ty = match self.token {
            Token::Name("query") => OperationType::Query,
            Token::Name("mutation") => OperationType::Mutation,
            Token::Name("subscription") => OperationType::Subscription,
            _ => return Err(self.unexpected("an operation or a fragment")),
        };
        self.advance()?;
        let name = match self.token {
            Token::Name(_) => Some(self.name("a name")?.node),
            _ => None,
        };
        let variable_definitions = if self.is('(') {
            self.several(['(', ')'], Self::variable_definition)?
        } else {
            Vec::new()
        };
        let operation = OperationDefinition {
            ty,
            variable_definitions,
            directives: self.directives()?,
            selection_set: self.selection_set()?,
        };
        Ok((name, operation))
    }

    fn variable_definition(&mut self) -> Parsed<Positioned<VariableDefinition>> {
        self.description()?;
        let begin = self.position;
        self.expect('$')?;
        let name = self.name("the name of a variable")?;
        self.expect(':')?;
        let at = self.position;
        let var_type = Positioned::new(self.ty()?, at);
        let default_value = if self.take('=')? {
            let at = self.position;
            let value = self.value(Variables::Refused)?.into_const();
            let value = value.ok_or_else(|| self.unexpected("a constant"))?;
            Some(Positioned::new(value, at))
        } else {
            None
        };
        let definition = VariableDefinition {
            name,
            var_type,
            directives: self.directives()?,
            default_value,
        };
        Ok(Positioned::new(definition, begin))
    }

    fn ty(&mut self) -> Parsed<Type> {
        let base = if self.is('[') {
            let mut inner = self.several(['[', ']'], Self::one_type)?;
            BaseType::List(Box::new(inner.remove(0)))
        } else {
            BaseType::Named(self.name("a type")?.node)
        };
        let nullable = !self.take('!')?;
        Ok(Type { base, nullable })
    }

    /// The only type between two brackets.
    fn one_type(&mut self) -> Parsed<Type> {
        let ty = self.ty()?;
        if self.is(']') {
            Ok(ty)
        } else {
            Err(self.unexpected("\"]\""))
        }
    }

    fn fragment(&mut self) -> Parsed<(Positioned<Name>, FragmentDefinition)> {
        self.advance()?;
        if self.token == Token::Name("on") {
            return Err(self.unexpected("the name of a fragment"));
        }
        let name = self.name("the name of a fragment")?;
        if self.token != Token::Name("on") {
            return Err(self.unexpected("\"on\""));
        }
        let fragment = FragmentDefinition {
            type_condition: self.type_condition()?,
            directives: self.directives()?,
            selection_set: self.selection_set()?,
        };
        Ok((name, fragment))
    }

    /// Parses `on` and the name of a type.
    fn type_condition(&mut self) -> Parsed<Positioned<TypeCondition>> {
        let begin = self.position;
        self.advance()?;
        let on = self.name("a type")?;
        Ok(Positioned::new(TypeCondition { on }, begin))
    }

    // --- selections ---

    fn selection_set(&mut self) -> Parsed<Positioned<SelectionSet>> {
        let begin = self.position;
        let items = self.several(['{', '}'], Self::selection)?;
        Ok(Positioned::new(SelectionSet { items }, begin))
    }

    fn selection(&mut self) -> Parsed<Positioned<Selection>> {
        let begin = self.position;
        let selection = if self.token == Token::Spread {
            self.advance()?;
            self.spread(begin)?
        } else {
            Selection::Field(Positioned::new(self.field()?, begin))
        };
        Ok(Positioned::new(selection, begin))
    }

    /// Parses what follows `...`.
    fn spread(&mut self, begin: Pos) -> Parsed<Selection> {
        let type_condition = match self.token {
            Token::Name("on") => Some(self.type_condition()?),
            Token::Name(_) => {
                let spread = FragmentSpread {
                    fragment_name: self.name("the name of a fragment")?,
                    directives: self.directives()?,
                };
                return Ok(Selection::FragmentSpread(Positioned::new(spread, begin)));
            }
            _ => None,
        };
        let inline = InlineFragment {
            type_condition,
            directives: self.directives()?,
            selection_set: self.selection_set()?,
        };
        Ok(Selection::InlineFragment(Positioned::new(inline, begin)))
    }

    fn field(&mut self) -> Parsed<Field> {
        let first = self.name("a field")?;
        let (alias, name) = if self.take(':')? {
            (Some(first), self.name("a field")?)
        } else {
            (None, first)
        };
        let arguments = self.arguments()?;
        let directives = self.directives()?;
        let selection_set = if self.is('{') {
            self.selection_set()?
        } else {
            Positioned::new(SelectionSet::default(), Pos::default())
        };
        Ok(Field {
            alias,
            name,
            arguments,
            directives,
            selection_set,
        })
    }

    fn arguments(&mut self) -> Parsed<Vec<(Positioned<Name>, Positioned<Value>)>> {
        if !self.is('(') {
            return Ok(Vec::new());
        }
        self.several(['(', ')'], |parser| {
            let name = parser.name("the name of an argument")?;
            parser.expect(':')?;
            let at = parser.position;
            Ok((name, Positioned::new(parser.value(Variables::Allowed)?, at)))
        })
    }

    fn directives(&mut self) -> Parsed<Vec<Positioned<Directive>>> {
        let mut directives = Vec::new();
        while self.is('@') {
            let begin = self.position;
            self.advance()?;
            let directive = Directive {
                name: self.name("the name of a directive")?,
                arguments: self.arguments()?,
            };
            directives.push(Positioned::new(directive, begin));
        }
        Ok(directives)
    }

    // --- values ---

    fn value(&mut self, variables: Variables) -> Parsed<Value> {
        match self.token {
            Token::Punctuator('[') => {
                let items = self.any(['[', ']'], |parser| parser.value(variables), 0)?;
                return Ok(Value::List(items));
            }
            Token::Punctuator('{') => return self.object(variables),
            Token::Punctuator('$') if variables == Variables::Allowed => {
                self.advance()?;
                return Ok(Value::Variable(self.name("the name of a variable")?.node));
            }
            _ => {}
        }
        let value = match &mut self.token {
            Token::Int(text) => number::int(text),
            Token::Float(text) => number::float(text)
                .ok_or_else(|| SyntaxError::at(self.position, "The number is too large."))?,
            Token::Text(text) => Value::String(std::mem::take(text)),
            Token::Name("true") => Value::Boolean(true),
            Token::Name("false") => Value::Boolean(false),
            Token::Name("null") => Value::Null,
            Token::Name(text) => Value::Enum(Name::new(text)),
            _ => return Err(self.unexpected("a value")),
        };
        self.advance()?;
        Ok(value)
    }

    fn object(&mut self, variables: Variables) -> Parsed<Value> {
        let mut object = IndexMap::new();
        self.any(
            ['{', '}'],
            |parser| {
                let name = parser.name("the name of a field")?;
                parser.expect(':')?;
                let value = parser.value(variables)?;
                let message = format!("The field \"{}\" is given twice.", name.node);
                match object.insert(name.node, value) {
                    Some(_) => Err(SyntaxError::at(name.pos, message)),
                    None => Ok(()),
                }
            },
            0,
        )?;
        Ok(Value::Object(object))
    }
}

/// Whether a value may contain variables.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Variables {
    Allowed,
    Refused,
}
