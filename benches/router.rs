//! One look-up among 1, 50 and 500 routes: a full path, a parameter, a prefix, and a path that no
//! route takes.

// what the macros of criterion make has no doc comment
#![allow(missing_docs)]

use std::hint::black_box;

use countersign::routing::{Found, Key, PathPattern, Pattern, Rule, Table};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use http::Method;

/// A table as an API has it: a collection, its items and what is below an item.
fn table(routes: usize) -> Table {
    let path = |text: String| PathPattern::Path(Pattern::parse(&text).expect("it is a pattern"));
    let rule = |index: usize| {
        let path = match (index % 4, index / 4) {
            (0, at) => path(format!("/service{at}/items/{{id}}")),
            (1, at) => path(format!("/service{at}/items")),
            (2, at) => path(format!("/service{at}/files/{{proxy+}}")),
            (_, at) => PathPattern::Prefix(format!("/service{at}/static")),
        };
        Rule { host: None, path, methods: Vec::new() }
    };
    Table::new((0..routes).map(rule).collect()).expect("no two are alike")
}

fn router(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("look-up");
    for routes in [1, 50, 500] {
        let table = table(routes);
        let last = (routes - 1) / 4;
        let mut asked = vec![
            ("parameter", format!("/service{}/items/2b7f0c1e", (routes - 1) / 4)),
            ("none", format!("/service{last}/nowhere/at/all")),
        ];
        if routes > 1 {
            asked.push(("full path", format!("/service{}/items", last - 1)));
            asked.push(("greedy", format!("/service{}/files/a/b/c.txt", last - 1)));
            asked.push(("prefix", format!("/service{}/static/app.js", last - 1)));
        }
        for (name, path) in asked {
            let key = Key { host: Some("localhost"), method: &Method::GET, path: &path };
            let takes = matches!(table.find(key), Found::Route(..));
            assert_eq!(takes, name != "none", "{routes} routes, {name}");
            let id = BenchmarkId::new(name, routes);
            group.bench_function(id, |b| b.iter(|| black_box(table.find(black_box(key)))));
        }
    }
    group.finish();
}

criterion_group!(benches, router);
criterion_main!(benches);
