//! Appending batches of records, beside a plain copy of the same bytes.

use std::hint::black_box;
use std::io;
use std::path::Path;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use runlane_translog::{Fs, LogFile, ReadAt, Writer};

/// Takes every byte and keeps none, so that framing is what is measured.
#[derive(Debug)]
struct Sink;

impl ReadAt for Sink {
    fn read_at(&self, _: &mut [u8], _: u64) -> io::Result<usize> {
        Ok(0)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(0)
    }
}

impl LogFile for Sink {
    fn write_at(&self, buffer: &[u8], _: u64) -> io::Result<usize> {
        Ok(black_box(buffer).len())
    }

    fn truncate(&self, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn reserve(&self, _: u64, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn sync_directory(&self) -> io::Result<()> {
        Ok(())
    }

    fn is_at(&self, _: &Path) -> bool {
        true
    }
}

impl Fs for Sink {
    type File = Self;

    fn create_new(&self, _: &Path) -> io::Result<Self> {
        Ok(Self)
    }

    fn open_exclusive(&self, _: &Path) -> io::Result<Self> {
        Ok(Self)
    }

    fn open(&self, _: &Path) -> io::Result<Self> {
        Ok(Self)
    }

    fn create_replacement(&self, _: &Path, _: &Self) -> io::Result<Self> {
        Ok(Self)
    }

    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn remove(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
}

fn append(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("append_batch");
    for record_bytes in [40, 300, 4000] {
        let records = vec![vec![0x12; record_bytes]; 1000];
        group.throughput(Throughput::Bytes((record_bytes * records.len()) as u64));
        group.bench_function(BenchmarkId::new("memcpy", record_bytes), |bencher| {
            let mut out = Vec::new();
            bencher.iter(|| {
                out.clear();
                for record in &records {
                    out.extend_from_slice(black_box(record));
                }
                black_box(&out);
            });
        });
        group.bench_function(BenchmarkId::new("framing", record_bytes), |bencher| {
            let mut writer = Writer::create(&Sink, Path::new("sink")).expect("a sink never fails");
            bencher.iter(|| {
                let appended = writer
                    .append_batch(&records)
                    .expect("a sink never fails")
                    .bytes;
                writer.sync().expect("a sink never fails");
                black_box(appended)
            });
        });
        group.bench_function(BenchmarkId::new("page_cache", record_bytes), |bencher| {
            let directory = tempfile::tempdir().expect("temporary directory");
            let path = directory.path().join("run-bench.wandb");
            let mut writer = Writer::create(&runlane_translog::OsFs, &path)
                .expect("a new file in a new directory");
            bencher.iter(|| black_box(writer.append_batch(&records).expect("disk space").bytes));
        });
    }
    group.finish();
}

criterion_group!(benches, append);
criterion_main!(benches);
