//! The committed schema, and rules for all of it.

use async_graphql::parser::{
    parse_schema,
    types::{TypeKind, TypeSystemDefinition},
};

#[test]
fn g1_the_committed_schema_is_the_exported_one() {
    let committed = include_str!("../../schema.graphql");
    assert!(
        committed == switchboard::schema::sdl(),
        "schema.graphql is stale: run `cargo run -- schema > schema.graphql`"
    );
}

#[test]
fn mutation_fields_are_nullable() {
    for definition in parse_schema(switchboard::schema::sdl())
        .unwrap()
        .definitions
    {
        let TypeSystemDefinition::Type(definition) = definition else {
            continue;
        };
        if definition.node.name.node != "Mutation" {
            continue;
        }
        let TypeKind::Object(object) = definition.node.kind else {
            panic!("Mutation is not an object")
        };
        for field in object.fields {
            assert!(
                field.node.ty.node.nullable,
                "if {} failed, it would hide the results of the other fields",
                field.node.name.node
            );
        }
    }
}
