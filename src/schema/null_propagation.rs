//! Sets failed fields to null, as GraphQL demands (section 6.4.4).
//!
//! The library leaves a failed field out of its object. Here it becomes null. If its type does not
//! allow null, the nearest nullable value around it becomes null. A response without errors costs
//! nothing.

use std::collections::HashSet;

use async_graphql::{
    Name, PathSegment, Response, Value,
    indexmap::IndexMap,
    parser::types::{BaseType, ExecutableDocument, OperationType, Selection, SelectionSet, Type},
};

use super::prepare::{Shapes, operation};

/// Sets the failed fields of a response to null.
pub(super) fn propagate_nulls(
    response: &mut Response,
    document: &ExecutableDocument,
    operation_name: Option<&str>,
    shapes: &Shapes,
) {
    if response.errors.is_empty() {
        return;
    }
    let Ok(operation) = operation(document, operation_name) else {
        return;
    };
    let root = match operation.node.ty {
        OperationType::Query => "Query",
        OperationType::Mutation => "Mutation",
        OperationType::Subscription => "Subscription",
    };
    let walk = NullWalk { document, shapes };
    let selected = &operation.node.selection_set.node;
    let mut nulls: Vec<Vec<PathSegment>> = response
        .errors
        .iter()
        .map(|error| walk.null_for(&error.path, root, selected))
        .collect();
    nulls.sort_by_key(Vec::len);
    let mut done: HashSet<String> = HashSet::new();
    for path in nulls {
        let prefixes = (0..=path.len()).map(|length| format!("{:?}", &path[..length]));
        if prefixes.into_iter().any(|prefix| done.contains(&prefix)) {
            continue;
        }
        set_null(&mut response.data, &path);
        done.insert(format!("{path:?}"));
    }
    // Inserted fields are last in their object. At the root, where people read them, they are moved
    // to the order of the document.
    if let Value::Object(object) = &mut response.data {
        let mut order = Vec::new();
        walk.keys(selected, &mut order);
        let place = |key: &Name| order.iter().position(|name| *name == key);
        object.sort_by(|a, _, b, _| place(a).cmp(&place(b)));
    }
}

/// Sets the value at a path to null. If an object on the way is null, because all its fields
/// failed, it becomes an object again.
fn set_null(value: &mut Value, path: &[PathSegment]) {
    let Some((first, rest)) = path.split_first() else {
        *value = Value::Null;
        return;
    };
    match first {
        PathSegment::Field(name) => {
            if matches!(value, Value::Null) {
                *value = Value::Object(IndexMap::new());
            }
            let Value::Object(object) = value else { return };
            set_null(object.entry(Name::new(name)).or_default(), rest);
        }
        PathSegment::Index(index) => {
            let Value::List(items) = value else { return };
            if let Some(item) = items.get_mut(*index) {
                set_null(item, rest);
            }
        }
    }
}

/// Finds the types along the path of an error.
struct NullWalk<'a> {
    document: &'a ExecutableDocument,
    shapes: &'a Shapes,
}

impl<'a> NullWalk<'a> {
    /// The longest prefix of an error's path whose type is nullable. The empty prefix is `data`
    /// itself.
    fn null_for(
        &self,
        path: &[PathSegment],
        root: &str,
        selected: &'a SelectionSet,
    ) -> Vec<PathSegment> {
        let mut sets = vec![(root.to_owned(), selected)];
        let (mut ty, mut nullable): (Option<&Type>, usize) = (None, 0);
        for (at, segment) in path.iter().enumerate() {
            ty = match segment {
                PathSegment::Field(key) => {
                    let mut found = SelectedField::default();
                    sets.iter()
                        .for_each(|(of, set)| self.find(of, set, key, &mut found));
                    sets = found.below;
                    found.ty
                }
                PathSegment::Index(_) => ty.and_then(|list| match &list.base {
                    BaseType::List(item) => Some(&**item),
                    BaseType::Named(_) => None,
                }),
            };
            match ty {
                Some(ty) if ty.nullable => nullable = at + 1,
                Some(_) => {}
                None => break,
            }
        }
        path[..nullable].to_vec()
    }

    /// The response keys of a selection in the order of the document, fragments expanded.
    fn keys(&self, set: &'a SelectionSet, order: &mut Vec<&'a Name>) {
        for selection in &set.items {
            match &selection.node {
                Selection::Field(field) => order.push(&field.node.response_key().node),
                Selection::InlineFragment(inline) => {
                    self.keys(&inline.node.selection_set.node, order)
                }
                Selection::FragmentSpread(spread) => {
                    if let Some(fragment) =
                        self.document.fragments.get(&spread.node.fragment_name.node)
                    {
                        self.keys(&fragment.node.selection_set.node, order);
                    }
                }
            }
        }
    }

    /// Collects the fields of a selection with this response key, fragments expanded.
    fn find(&self, of: &str, set: &'a SelectionSet, key: &str, found: &mut SelectedField<'a>)
    where
        Self: 'a,
    {
        for selection in &set.items {
            match &selection.node {
                Selection::Field(field) if field.node.response_key().node == key => {
                    let Some(ty) = self.shapes.field(of, &field.node.name.node) else {
                        continue;
                    };
                    found.ty = Some(ty);
                    found
                        .below
                        .push((name_of(ty).to_owned(), &field.node.selection_set.node));
                }
                Selection::Field(_) => {}
                Selection::InlineFragment(inline) => {
                    let on = inline
                        .node
                        .type_condition
                        .as_ref()
                        .map(|condition| condition.node.on.node.as_str());
                    self.find(
                        on.unwrap_or(of),
                        &inline.node.selection_set.node,
                        key,
                        found,
                    );
                }
                Selection::FragmentSpread(spread) => {
                    let Some(fragment) =
                        self.document.fragments.get(&spread.node.fragment_name.node)
                    else {
                        continue;
                    };
                    let on = &fragment.node.type_condition.node.on.node;
                    self.find(on, &fragment.node.selection_set.node, key, found);
                }
            }
        }
    }
}

/// The fields with one response key: their type, and their selections with the type of each.
#[derive(Default)]
struct SelectedField<'a> {
    ty: Option<&'a Type>,
    below: Vec<(String, &'a SelectionSet)>,
}

/// The name of a type, without its lists.
fn name_of(ty: &Type) -> &str {
    match &ty.base {
        BaseType::Named(name) => name,
        BaseType::List(item) => name_of(item),
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::{ServerError, parser::parse_query};
    use serde_json::{Value as Json, json};

    use super::*;

    const SDL: &str = "type Query { node: Node  must: Thing!  list: [Thing!]  loose: [Thing]! }
        interface Node { id: ID! } type Thing implements Node { id: ID!  may: Thing  must: Thing! }";

    /// The data of a response after the fields at these paths have failed.
    fn completed_value(query: &str, data: Json, paths: &[Json]) -> Value {
        let shapes = Shapes::from_sdl(SDL);
        let mut response = Response::new(Value::from_json(data).unwrap());
        response.errors = paths
            .iter()
            .map(|path| {
                let mut error = ServerError::new("failed", None);
                error.path = path
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|segment| match segment {
                        Json::String(key) => PathSegment::Field(key.clone()),
                        index => {
                            PathSegment::Index(usize::try_from(index.as_u64().unwrap()).unwrap())
                        }
                    })
                    .collect();
                error
            })
            .collect();
        propagate_nulls(&mut response, &parse_query(query).unwrap(), None, &shapes);
        response.data
    }

    fn completed(query: &str, data: Json, paths: &[Json]) -> Json {
        completed_value(query, data, paths).into_json().unwrap()
    }

    #[test]
    fn a_failed_field_becomes_null_or_the_nearest_nullable_value_around_it_does() {
        let path = |path: Json| [path];
        for (query, data, failed, expected) in [
            (
                "{ node { id } }",
                json!(null),
                path(json!(["node"])),
                json!({ "node": null }),
            ),
            (
                "{ must { id } }",
                json!(null),
                path(json!(["must"])),
                json!(null),
            ),
            (
                "{ n: node { id } must { id } }",
                json!({ "must": { "id": "1" } }),
                path(json!(["n"])),
                json!({ "must": { "id": "1" }, "n": null }),
            ),
            (
                "{ must { may { id } } }",
                json!({ "must": null }),
                path(json!(["must", "may"])),
                json!({ "must": { "may": null } }),
            ),
            (
                "{ must { may { must { id } } } }",
                json!({ "must": { "may": {} } }),
                path(json!(["must", "may", "must"])),
                json!({ "must": { "may": null } }),
            ),
            (
                "{ list { ...f } } fragment f on Thing { must { id } id }",
                json!({ "list": [{ "id": "1" }, { "id": "2" }] }),
                path(json!(["list", 1, "must"])),
                json!({ "list": null }),
            ),
            (
                "{ loose { must { id } id } }",
                json!({ "loose": [{ "id": "1" }, { "id": "2" }] }),
                path(json!(["loose", 1, "must"])),
                json!({ "loose": [{ "id": "1" }, null] }),
            ),
            (
                "{ node { id ... on Thing { must { id } } } }",
                json!({ "node": { "id": "1" } }),
                path(json!(["node", "must"])),
                json!({ "node": null }),
            ),
        ] {
            assert_eq!(completed(query, data, &failed), expected, "{query}");
        }
    }

    #[test]
    fn root_fields_keep_the_order_of_the_document() {
        // Compared as text, because a parsed JSON object would be sorted.
        let ordered = completed_value(
            "{ z: node { id } must { id } }",
            json!({ "must": { "id": "1" } }),
            &[json!(["z"])],
        );
        assert_eq!(
            serde_json::to_string(&ordered).unwrap(),
            r#"{"z":null,"must":{"id":"1"}}"#
        );
    }

    #[test]
    fn two_failed_fields_may_make_the_same_value_null() {
        let both = [
            json!(["must", "may", "must"]),
            json!(["must", "may", "may"]),
        ];
        let query = "{ must { may { must { id } may { id } } } }";
        assert_eq!(
            completed(query, json!({ "must": { "may": null } }), &both),
            json!({ "must": { "may": null } })
        );
    }
}
