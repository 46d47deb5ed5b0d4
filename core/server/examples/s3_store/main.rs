//! An S3 server for tests: `s3_store DIRECTORY [PORT]`; prints its URL, serves until killed.

#[expect(dead_code, reason = "tests use more of it")]
mod store;

#[tokio::main]
#[expect(clippy::print_stdout, reason = "whoever starts it reads its URL there")]
async fn main() {
    let mut words = std::env::args().skip(1);
    let directory = words.next().expect("usage: s3_store DIRECTORY [PORT]");
    let port = words
        .next()
        .map_or(0, |port| port.parse().expect("a port number"));
    let served = store::S3Store::start_at(std::path::Path::new(&directory), port).await;
    println!("{}", served.endpoint);
    served.wait().await;
}
