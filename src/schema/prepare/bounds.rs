//! Bounds the cost of a document, in one walk that counts each fragment once (G4).

use std::collections::HashMap;

use async_graphql::{
    Name, Pos, Positioned, Variables,
    parser::types::{
        Directive, ExecutableDocument, Field, OperationDefinition, OperationType, Selection,
        SelectionSet,
    },
};
use async_graphql_value::Value;

use super::{limits::PrepareLimits, shapes::Shapes};
use crate::schema::error::{ApiError, Code};

/// The assumed length of a list without `first`, `last` or `limit`: the default page of a
/// connection.
const LIST_LENGTH_DEFAULT: usize = 50;

/// The cost of a selection. Sums saturate, because nested fragments can multiply it exponentially.
#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    /// Fields, with fragments expanded.
    fields: usize,
    /// Fields, with fragments expanded, each counted once for every entry that the lists around it
    /// may have.
    values: usize,
    /// Levels of nested selections.
    depth: usize,
    aliases: usize,
    directives: usize,
}

impl Cost {
    fn directives(directives: &[Positioned<Directive>]) -> Self {
        Self {
            directives: directives.len(),
            ..Self::default()
        }
    }

    /// The cost of two selections side by side.
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

/// Refuses a document if any of its operations and fragments exceeds a limit.
///
/// # Errors
/// TOO_COMPLEX, or GRAPHQL_VALIDATION_FAILED if a fragment contains itself.
pub(super) fn check(
    document: &ExecutableDocument,
    variables: &Variables,
    shapes: &Shapes,
    limits: &PrepareLimits,
) -> Result<(), ApiError> {
    let mut walk = BoundsWalk {
        document,
        variables,
        shapes,
        limits,
        fragments: HashMap::new(),
    };
    for (_, operation) in document.operations.iter() {
        let own = Cost::directives(&operation.node.directives);
        let cost = walk.operation(&operation.node)?.and(own);
        walk.compare(cost, operation.pos)?;
    }
    // Validation also walks fragments that no operation uses, so these are bounded too.
    for (name, fragment) in &document.fragments {
        let cost = walk.fragment(name, fragment.pos)?;
        walk.compare(cost, fragment.pos)?;
    }
    Ok(())
}

/// The error for a document that exceeds a limit. `unit` is a plural, for example "bytes".
pub(super) fn too_complex(unit: &str, limit: usize) -> ApiError {
    ApiError::new(
        Code::TooComplex,
        format!("The document asks for too much; the limit is {limit} {unit}."),
    )
}

/// Computes costs. It remembers the cost of each fragment, so the walk is linear.
struct BoundsWalk<'a> {
    document: &'a ExecutableDocument,
    variables: &'a Variables,
    shapes: &'a Shapes,
    limits: &'a PrepareLimits,
    /// The cost of each fragment. `None` while it is being counted, so that a cycle is noticed.
    fragments: HashMap<&'a Name, Option<Cost>>,
}

impl<'a> BoundsWalk<'a> {
    /// Compares a cost with the limits.
    fn compare(&self, cost: Cost, at: Pos) -> Result<(), ApiError> {
        let limits = self.limits;
        for (unit, count, limit) in [
            ("fields", cost.fields, limits.document_fields_max),
            (
                "values, with each list counted at full length",
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
            if limit != 0 && count > limit {
                return Err(too_complex(unit, limit).at(at));
            }
        }
        Ok(())
    }

    fn operation(&mut self, operation: &'a OperationDefinition) -> Result<Cost, ApiError> {
        let set = &operation.selection_set.node;
        match (operation.ty, set.items.as_slice()) {
            // The root field of a subscription is not a list, even if a list field elsewhere has
            // the same name.
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
                .and(Cost::directives(&inline.node.directives))),
            Selection::FragmentSpread(spread) => {
                let cost = self.fragment(&spread.node.fragment_name.node, selection.pos)?;
                Ok(cost.and(Cost::directives(&spread.node.directives)))
            }
        }
    }

    /// The cost of a field that yields `length` entries.
    fn field(&mut self, field: &'a Field, length: usize) -> Result<Cost, ApiError> {
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
            values: below.values.saturating_mul(length),
            ..below
        };
        Ok(below.and(own).and(Cost::directives(&field.directives)))
    }

    fn fragment(&mut self, name: &Name, at: Pos) -> Result<Cost, ApiError> {
        // An unknown fragment costs nothing here. Validation refuses it.
        let Some((name, fragment)) = self.document.fragments.get_key_value(name) else {
            return Ok(Cost::default());
        };
        match self.fragments.get(name) {
            Some(Some(cost)) => return Ok(*cost),
            Some(None) => {
                let message = format!("Cannot spread fragment \"{name}\" within itself.");
                return Err(ApiError::new(Code::GraphqlValidationFailed, message).at(at));
            }
            None => {}
        }
        self.fragments.insert(name, None);
        let own = Cost::directives(&fragment.node.directives);
        let cost = self
            .selection_set(&fragment.node.selection_set.node)?
            .and(own);
        self.fragments.insert(name, Some(cost));
        Ok(cost)
    }

    /// The number of entries that a field may yield: its `first` or `last`, else the default page
    /// if the field is a list, else 1.
    ///
    /// A field with a `limit` is an object whose entries are in a list below it. That list is
    /// counted as a default page. So here the field counts as the number of such pages.
    fn list_length(&self, field: &Field) -> usize {
        let requested = ["first", "last", "limit"].iter().find_map(|name| {
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
                number.div_ceil(LIST_LENGTH_DEFAULT)
            } else {
                number
            })
        });
        match requested {
            Some(length) => length.max(1),
            None if self.shapes.is_list(field.name.node.as_str()) => LIST_LENGTH_DEFAULT,
            None => 1,
        }
    }
}
