//! Packages written and read again, and packages that are damaged in every way.

use std::fs;
use std::path::Path;

use kernels::launch::{KernelId, Launch};
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::base::limits::{CHECKSUM_BLOCK_BYTES, MAX_LABEL_BYTES, MAX_LABELS_BYTES, MAX_LAUNCHES};
use crate::base::{BatchSize, ShapeId};

const PAGE_BYTES: usize = CHECKSUM_BLOCK_BYTES * 2;

fn spec(name: &str, shapes: &[&[u32]]) -> TensorSpec {
    let shapes = shapes.iter().map(|dims| Shape::try_from(*dims).unwrap()).collect();
    TensorSpec { name: name.to_owned(), kind: TensorType::F32, shapes }
}

fn plan(shape: u8, batch: u8) -> Plan {
    let launch = |kernel: u16| Launch { kernel: KernelId(kernel), block: vec![batch; 24].into() };
    Plan {
        shape: ShapeId(shape),
        batch: BatchSize::new(batch).unwrap(),
        workspace_bytes: 4096 * u32::from(batch),
        launches: vec![launch(0), launch(1)],
    }
}

fn texts(of_plan: [&str; 2]) -> Vec<String> {
    of_plan.map(str::to_owned).to_vec()
}

fn contents() -> Contents {
    Contents {
        name: "sample".to_owned(),
        target: Target::CpuF32,
        page_bytes: u32::try_from(PAGE_BYTES).unwrap(),
        inputs: vec![spec("x", &[&[3, 8, 8], &[3, 8, 16]])],
        outputs: vec![spec("y", &[&[10], &[20]])],
        plans: vec![plan(0, 1), plan(0, 2), plan(1, 1)],
        labels: Labels::new(&[["conv1 + relu1", "fc"], ["conv1 + relu1", "fc"], ["conv1", "fc"]].map(texts)),
        card: Card::new(br#"{"labels":["a","b"]}"#.to_vec()).unwrap(),
        page_count: 2,
    }
}

fn page(fill: u8) -> Vec<u8> {
    (0..=252).cycle().map(|byte: u8| byte ^ fill).take(PAGE_BYTES).collect()
}

fn write(path: &Path, contents: Contents) -> Written {
    let mut writer = PackageWriter::create(path, contents).unwrap();
    writer.push_page(&page(1)).unwrap();
    writer.push_page(&page(2)).unwrap();
    writer.finish().unwrap()
}

fn sample() -> (TempDir, std::path::PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("sample.cwk");
    write(&path, contents());
    (folder, path)
}

fn fault_of(bytes: &[u8]) -> (u64, Fault) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("damaged.cwk");
    fs::write(&path, bytes).unwrap();
    match Package::open(&path) {
        Err(PackageError::Malformed { offset, fault, path: named }) => {
            assert_eq!(named, path);
            (offset, fault)
        }
        other => panic!("a malformed package was wanted, got {other:?}"),
    }
}

#[test]
fn what_was_written_is_read() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("sample.cwk");
    let written = write(&path, contents());
    let package = Package::open(&path).unwrap();
    let wanted = contents();
    assert_eq!((package.id, package.architecture), (written.id, written.architecture));
    assert_eq!(fs::metadata(&path).unwrap().len(), written.bytes);
    assert_eq!((&package.inputs, &package.outputs), (&wanted.inputs, &wanted.outputs));
    assert_eq!((&package.plans, &package.card, package.name.as_str()), (&wanted.plans, &wanted.card, "sample"));
    assert_eq!(package.labels, wanted.labels);
    assert_eq!((package.labels.of(1, 0), package.labels.of(2, 0)), (Some("conv1 + relu1"), Some("conv1")));
    assert_eq!((package.labels.of(3, 0), package.labels.of(0, 2)), (None, None));
    assert_eq!(package.slot_layout(ShapeId(1)).unwrap().inputs.bytes, 3 * 8 * 16 * 4);
    assert_eq!(package.plan(ShapeId(0), BatchSize::new(2).unwrap()), Some(&wanted.plans[1]));
    assert_eq!(package.plan(ShapeId(1), BatchSize::new(2).unwrap()), None);
    assert!(package.pages.iter().all(|page| page.offset % PageRef::ALIGNMENT == 0));
    let mut bytes = vec![0; PAGE_BYTES];
    WeightReader::new(&package).unwrap().read_page(1, &mut bytes).unwrap();
    assert_eq!(bytes, page(2));
}

#[test]
fn equal_contents_give_equal_bytes_and_names_don_t_change_the_architecture() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    let one = write(&path("one"), contents());
    let two = write(&path("two"), contents());
    let mut renamed = contents();
    renamed.name = "other".to_owned();
    renamed.inputs[0].name = "z".to_owned();
    renamed.labels = Labels::default();
    renamed.card = Card::default();
    let three = write(&path("three"), renamed);
    assert_eq!(fs::read(path("one")).unwrap(), fs::read(path("two")).unwrap());
    assert_eq!(one, two);
    assert_eq!(one.architecture, three.architecture);
    assert_ne!(one.id, three.id);
}

#[test]
fn a_package_without_labels_opens_and_those_of_other_plans_are_not_written() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("sample.cwk");
    write(&path, Contents { labels: Labels::default(), ..contents() });
    let package = Package::open(&path).unwrap();
    assert_eq!((package.labels.of(0, 0), &package.plans), (None, &contents().plans));
    let labels = Labels::new(&[texts(["a", "b"])]);
    let refused = PackageWriter::create(&path, Contents { labels, ..contents() });
    assert!(matches!(refused, Err(PackageError::Unwritable { fault: Fault::Value { .. }, .. })));
}

#[test]
fn labels_are_cut_and_too_many_are_left_out() {
    let long = "é".repeat(MAX_LABEL_BYTES);
    let labels = Labels::new(&[vec![long.clone(), "x".to_owned()]]);
    assert_eq!(labels.of(0, 0), Some(&long[..MAX_LABEL_BYTES]));
    let number = |i: usize| format!("{i:0>width$}", width = MAX_LABEL_BYTES);
    let most = (MAX_LABELS_BYTES - 2) / (MAX_LABEL_BYTES + 4);
    let of = |count: usize| Labels::new(&[(0..count).map(number).collect()]);
    assert_eq!(of(most).of(0, most - 1), Some(number(most - 1).as_str()));
    assert_eq!(of(most + 1), Labels::default());
}

#[test]
fn faults_have_names_and_places() {
    let (_folder, path) = sample();
    let bytes = fs::read(&path).unwrap();
    let damaged = |at: usize| {
        let mut bytes = bytes.clone();
        bytes[at] ^= 0x20;
        fault_of(&bytes)
    };
    assert!(matches!(damaged(0), (0, Fault::Magic { .. })));
    assert!(matches!(damaged(8), (0, Fault::Version { found: 0x21, supported: 1 })));
    assert!(matches!(damaged(30), (0, Fault::HeaderChecksum { .. })));
    assert!(matches!(damaged(4096), (4096, Fault::SectionDigest { section: SectionName::Plans })));
    assert!(matches!(fault_of(&bytes[..4]), (0, Fault::Truncated { .. })));
    assert!(matches!(fault_of(&bytes[..4000]), (0, Fault::Truncated { wanted: 4096, found: 4000, .. })));
    assert!(matches!(fault_of(&bytes[..bytes.len() - 1]), (_, Fault::Truncated { .. })));
    let longer = [bytes.as_slice(), &[0]].concat();
    assert!(matches!(fault_of(&longer), (_, Fault::LeftOver { bytes: 1, .. })));
}

#[test]
fn a_flipped_bit_in_the_weights_is_found_with_its_block() {
    let (_folder, path) = sample();
    let mut bytes = fs::read(&path).unwrap();
    let end = bytes.len();
    bytes[end - 1] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let package = Package::open(&path).unwrap();
    let reader = WeightReader::new(&package).unwrap();
    let mut page = vec![0; PAGE_BYTES];
    reader.read_page(0, &mut page).unwrap();
    match reader.read_page(1, &mut page) {
        Err(PackageError::Malformed { offset, fault: Fault::WeightChecksum { block: 3, .. }, .. }) => {
            assert_eq!(offset, (end - CHECKSUM_BLOCK_BYTES) as u64);
        }
        other => panic!("a checksum fault was wanted, got {other:?}"),
    }
}

#[test]
fn an_unfinished_package_leaves_nothing() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("never.cwk");
    let mut writer = PackageWriter::create(&path, contents()).unwrap();
    writer.push_page(&page(1)).unwrap();
    drop(writer);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_full_disk_is_named() {
    // The device that is always full stands for a full disk.
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("full.cwk");
    let mut writer = PackageWriter::create(&path, contents()).unwrap();
    writer.replace_file(fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
    match writer.push_page(&page(1)) {
        Err(PackageError::DiskFull { path: named, wanted }) => {
            assert_eq!(named, path);
            assert!(wanted > 2 * PAGE_BYTES as u64);
        }
        other => panic!("a full disk was wanted, got {other:?}"),
    }
    drop(writer);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn what_exceeds_a_limit_is_not_written() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("large.cwk");
    let refused = |change: fn(&mut Contents)| {
        let mut contents = contents();
        change(&mut contents);
        match PackageWriter::create(&path, contents) {
            Err(PackageError::Unwritable { fault, .. }) => fault,
            other => panic!("a fault was wanted, got {other:?}"),
        }
    };
    let launches = refused(|contents| {
        let launch = contents.plans[0].launches[0].clone();
        contents.plans[0].launches = vec![launch; MAX_LAUNCHES + 1];
    });
    assert!(matches!(launches, Fault::Count { what: "launches", .. }));
    assert!(matches!(refused(|contents| contents.name.clear()), Fault::Name { .. }));
    assert!(matches!(refused(|contents| contents.name = "n".repeat(65)), Fault::Count { .. }));
    assert!(matches!(refused(|contents| contents.plans.swap(0, 1)), Fault::PlanOrder { shape: 0, batch: 1 }));
    assert!(matches!(refused(|contents| contents.outputs.clear()), Fault::Value { .. }));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// Bytes before the weights.
fn head_bytes(package: &Package) -> usize {
    usize::try_from(package.pages[0].offset).unwrap()
}

proptest! {
    #[test]
    fn any_damage_before_the_weights_is_an_error_or_means_the_same(at: prop::sample::Index, mask in 1u8..) {
        let (_folder, path) = sample();
        let good = Package::open(&path).unwrap();
        let mut bytes = fs::read(&path).unwrap();
        bytes[at.index(head_bytes(&good))] ^= mask;
        fs::write(&path, &bytes).unwrap();
        if let Ok(package) = Package::open(&path) {
            // Padding before the weights carries no meaning.
            prop_assert_eq!(package.digest, good.digest);
            prop_assert_eq!(package.plans, good.plans);
        }
    }

    #[test]
    fn a_cut_anywhere_is_an_error(at: prop::sample::Index) {
        let (_folder, path) = sample();
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..at.index(bytes.len())]).unwrap();
        prop_assert!(Package::open(&path).is_err());
    }

    #[test]
    fn any_plans_section_is_refused_or_encodes_to_itself(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4), cut: Option<prop::sample::Index>) {
        let Contents { target, page_bytes, inputs, outputs, plans, .. } = contents();
        let mut bytes = plan_codec::encode(&plan_codec::Plans { target, page_bytes, inputs, outputs, plans }).unwrap();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(decoded) = plan_codec::decode(&bytes, 0) {
            prop_assert_eq!(plan_codec::encode(&decoded).unwrap(), bytes);
        }
    }

    #[test]
    fn a_sealed_header_of_any_content_never_panics(changes in prop::collection::vec((12usize..4096, any::<u8>()), 1..8)) {
        let (_folder, path) = sample();
        let mut bytes = fs::read(&path).unwrap();
        for (at, value) in changes {
            bytes[at] = value;
        }
        let mut header: header::Header = bytemuck::pod_read_unaligned(&bytes[..header::HEADER_BYTES]);
        header.seal();
        bytes[..header::HEADER_BYTES].copy_from_slice(bytemuck::bytes_of(&header));
        fs::write(&path, &bytes).unwrap();
        let _ = Package::open(&path);
    }
}
