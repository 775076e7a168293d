//! Builds the program again when a migration is added: the binary embeds the whole folder.

fn main() {
    println!("cargo::rerun-if-changed=migrations/sqlite");
}
