//! The IAM documents of many volumes: time, and the most memory at once. Both have to grow as the number of volumes
//! does.
//!
//! AWS takes a managed policy of 6,144 characters, some twenty volumes; whoever asks for more is told by how much it is
//! too large, and for that all of it is made.

use std::error::Error;
use std::hint::black_box;

use cavatica_access::blueprint;
use cavatica_access::names::Partition;
use cavatica_access::request::{Invalid, Request};
use criterion::{BenchmarkId, Criterion, Throughput};
use peak_alloc::PeakAlloc;
use serde_json::{Value, json};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// Numbers of volumes.
const VOLUMES: [usize; 3] = [1, 100, 10_000];

fn properties(volumes: usize) -> Value {
    let volume = |number: usize| {
        let access = if number.is_multiple_of(2) { "ReadOnly" } else { "ReadWrite" };
        json!({"BucketName": format!("lab-data-{number}"), "Prefix": format!("raw/{number}"), "AccessMode": access})
    };
    json!({
        "RoleName": "cavatica-volume",
        "PolicyName": "cavatica-volume",
        "Volumes": (0..volumes).map(volume).collect::<Vec<_>>(),
        "ExternalId": "given-lab-secret-42",
    })
}

/// From what was asked to both documents.
fn documents(properties: &Value, partition: &Partition) -> Result<usize, Invalid> {
    let request = Request::parse(properties)?;
    Ok(blueprint::permissions(&request, partition).to_json().len() + blueprint::trust(&request).to_json().len())
}

fn main() -> Result<(), Box<dyn Error>> {
    let partition = "aws".parse::<Partition>().map_err(|_| "no partition")?;
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("documents");
    for volumes in VOLUMES {
        let properties = properties(volumes);
        ALLOCATOR.reset_peak_usage();
        let before = ALLOCATOR.current_usage();
        black_box(documents(&properties, &partition)?);
        println!("documents/{volumes}: {} bytes at once", ALLOCATOR.peak_usage() - before);
        group.throughput(Throughput::Elements(volumes as u64));
        group.bench_with_input(BenchmarkId::from_parameter(volumes), &properties, |bencher, properties| {
            bencher.iter(|| documents(properties, &partition));
        });
    }
    group.finish();
    criterion.final_summary();
    Ok(())
}
