//! What a document would cost, by one walk that counts each fragment once.

use std::collections::HashMap;

use async_graphql::{
    Name, Pos, Positioned, Variables,
    parser::types::{
        Directive, ExecutableDocument, Field, OperationDefinition, OperationType, Selection,
        SelectionSet,
    },
};
use async_graphql_value::Value;

use super::{PrepareLimits, Shapes, too_complex};
use crate::schema::error::{ApiError, Code};

/// A selection's cost. Sums saturate: thirty levels of doubling fragments are a number, not a computation.
#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    /// Fields after expansion.
    fields: usize,
    /// Fields after expansion, each counted as often as the lists around it may be long.
    values: usize,
    /// The deepest nesting of selections.
    depth: usize,
    aliases: usize,
    directives: usize,
}

impl Cost {
    fn and(self, other: Self) -> Self {
        Self {
            fields: self.fields.saturating_add(other.fields),
            values: self.values.saturating_add(other.values),
            depth: self.depth.max(other.depth),
            aliases: self.aliases.saturating_add(other.aliases),
            directives: self.directives.saturating_add(other.directives),
        }
    }
}

/// Refuses a document that asks for more than the limits allow, in any of its operations and fragments.
pub(super) fn check(
    document: &ExecutableDocument,
    variables: &Variables,
    shapes: &Shapes,
    limits: &PrepareLimits,
) -> Result<(), ApiError> {
    let mut walk = Walk {
        document,
        variables,
        shapes,
        limits,
        known: HashMap::new(),
    };
    for (_, operation) in document.operations.iter() {
        let own = Cost {
            directives: operation.node.directives.len(),
            ..Cost::default()
        };
        let cost = walk.operation(&operation.node)?.and(own);
        walk.judge(cost, operation.pos)?;
    }
    // Fragments that no operation uses are validated too, so they are bounded too.
    for (name, fragment) in &document.fragments {
        let cost = walk.fragment(name, fragment.pos)?;
        walk.judge(cost, fragment.pos)?;
    }
    Ok(())
}

fn directives(directives: &[Positioned<Directive>]) -> Cost {
    Cost {
        directives: directives.len(),
        ..Cost::default()
    }
}

struct Walk<'a> {
    document: &'a ExecutableDocument,
    variables: &'a Variables,
    shapes: &'a Shapes,
    limits: &'a PrepareLimits,
    /// The cost of a fragment; none while it is being counted, so that a cycle is noticed.
    known: HashMap<&'a Name, Option<Cost>>,
}

impl<'a> Walk<'a> {
    fn judge(&self, cost: Cost, at: Pos) -> Result<(), ApiError> {
        let limits = self.limits;
        for (what, found, most) in [
            ("fields", cost.fields, limits.document_fields_max),
            (
                "values with its lists counted out",
                cost.values,
                limits.document_values_max,
            ),
            ("levels of depth", cost.depth, limits.document_depth_max),
            ("aliases", cost.aliases, limits.document_aliases_max),
            (
                "directives",
                cost.directives,
                limits.document_directives_max,
            ),
        ] {
            if most != 0 && found > most {
                return Err(too_complex(what, most).at(at));
            }
        }
        Ok(())
    }

    fn operation(&mut self, operation: &'a OperationDefinition) -> Result<Cost, ApiError> {
        let set = &operation.selection_set.node;
        match (operation.ty, set.items.as_slice()) {
            // What a subscription asks for is no list, though a list elsewhere may have its name.
            (
                OperationType::Subscription,
                [
                    Positioned {
                        node: Selection::Field(field),
                        ..
                    },
                ],
            ) => {
                let cost = self.field(&field.node, 1)?;
                Ok(Cost {
                    depth: cost.depth + 1,
                    ..cost
                })
            }
            _ => self.selection_set(set),
        }
    }

    fn selection_set(&mut self, set: &'a SelectionSet) -> Result<Cost, ApiError> {
        let mut sum = Cost::default();
        for selection in &set.items {
            sum = sum.and(self.selection(selection)?);
        }
        Ok(Cost {
            depth: sum.depth + 1,
            ..sum
        })
    }

    fn selection(&mut self, selection: &'a Positioned<Selection>) -> Result<Cost, ApiError> {
        match &selection.node {
            Selection::Field(field) => self.field(&field.node, self.list_length(&field.node)),
            Selection::InlineFragment(inline) => Ok(self
                .selection_set(&inline.node.selection_set.node)?
                .and(directives(&inline.node.directives))),
            Selection::FragmentSpread(spread) => {
                let cost = self.fragment(&spread.node.fragment_name.node, selection.pos)?;
                Ok(cost.and(directives(&spread.node.directives)))
            }
        }
    }

    /// A field that holds so many of what is selected below it.
    fn field(&mut self, field: &'a Field, times: usize) -> Result<Cost, ApiError> {
        let below = match field.selection_set.node.items.is_empty() {
            true => Cost::default(),
            false => self.selection_set(&field.selection_set.node)?,
        };
        let own = Cost {
            fields: 1,
            values: 1,
            aliases: field.alias.iter().len(),
            ..Cost::default()
        };
        let below = Cost {
            values: below.values.saturating_mul(times),
            ..below
        };
        Ok(below.and(own).and(directives(&field.directives)))
    }

    fn fragment(&mut self, name: &Name, at: Pos) -> Result<Cost, ApiError> {
        // An unknown fragment costs nothing here; validation names it.
        let Some((name, fragment)) = self.document.fragments.get_key_value(name) else {
            return Ok(Cost::default());
        };
        match self.known.get(name) {
            Some(Some(cost)) => return Ok(*cost),
            Some(None) => {
                let message = format!("Cannot spread fragment \"{name}\" within itself.");
                return Err(ApiError::new(Code::GraphqlValidationFailed, message).at(at));
            }
            None => {}
        }
        self.known.insert(name, None);
        let own = Cost {
            directives: fragment.node.directives.len(),
            ..Cost::default()
        };
        let cost = self
            .selection_set(&fragment.node.selection_set.node)?
            .and(own);
        self.known.insert(name, Some(cost));
        Ok(cost)
    }

    /// How many entries a field may have: what `first` or `last` asks for, or the default page of a connection. A `limit`
    /// stands above a list that is counted as such a page itself.
    fn list_length(&self, field: &Field) -> usize {
        let asked = ["first", "last", "limit"].iter().find_map(|name| {
            let value = field.get_argument(name)?;
            let number = match &value.node {
                Value::Number(number) => number.as_u64(),
                Value::Variable(name) => match self.variables.get(name) {
                    Some(async_graphql::Value::Number(number)) => number.as_u64(),
                    _ => None,
                },
                _ => None,
            };
            let number = usize::try_from(number?).unwrap_or(usize::MAX);
            Some(if *name == "limit" {
                number.div_ceil(super::LIST_LENGTH_DEFAULT)
            } else {
                number
            })
        });
        match asked {
            Some(length) => length.max(1),
            None if self.shapes.is_list(field.name.node.as_str()) => super::LIST_LENGTH_DEFAULT,
            None => 1,
        }
    }
}
