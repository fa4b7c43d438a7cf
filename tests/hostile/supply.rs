//! Where the dependencies come from.

#[test]
fn every_dependency_is_pinned_by_its_hash_and_comes_from_one_registry() {
    let lock = include_str!("../../Cargo.lock");
    let packages: Vec<&str> =
        lock.split("[[package]]").skip(1).filter(|it| it.contains("\nsource = ")).collect();
    assert!(packages.len() > 100, "{} dependencies", packages.len());
    for package in packages {
        let from_crates_io =
            package.contains("\nsource = \"registry+https://github.com/rust-lang/crates.io-index\"\n");
        assert!(from_crates_io && package.contains("\nchecksum = \""), "{package}");
    }
}
