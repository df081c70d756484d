//! What is a pattern and what is not, and what one takes.

use crate::routing::pattern::{PathPattern, Pattern, PatternError, Template, TemplateError};

/// A pattern, a path, and the parameters if it fits.
type Case = (&'static str, &'static str, Option<&'static [(&'static str, &'static str)]>);

fn params<'p>(pattern: &'p Pattern, path: &'p str) -> Option<Vec<(&'p str, &'p str)>> {
    pattern.matched(path).map(|params| params.0)
}

#[test]
fn takes_what_api_gateway_takes() {
    let cases: [Case; 15] = [
        ("/", "/", Some(&[])),
        ("/", "/a", None),
        ("/orders", "/orders", Some(&[])),
        ("/orders", "/orders/", None),
        ("/orders/", "/orders/", Some(&[])),
        ("/orders/{id}", "/orders/7", Some(&[("id", "7")])),
        ("/orders/{id}", "/orders/7%2F8", Some(&[("id", "7%2F8")])),
        ("/orders/{id}", "/orders/", None),
        ("/orders/{id}", "/orders", None),
        ("/orders/{id}", "/orders/7/items", None),
        ("/{a}/x/{b}", "/1/x/2", Some(&[("a", "1"), ("b", "2")])),
        ("/files/{proxy+}", "/files/a/b/", Some(&[("proxy", "a/b/")])),
        ("/files/{proxy+}", "/files/", None),
        ("/files/{proxy+}", "/files", None),
        ("/{proxy+}", "/a", Some(&[("proxy", "a")])),
    ];
    for (pattern, path, expected) in cases {
        let parsed = Pattern::parse(pattern).unwrap();
        assert_eq!(params(&parsed, path).as_deref(), expected, "{pattern} {path}");
        assert_eq!(parsed.takes(path), expected.is_some(), "{pattern} {path}");
    }
}

#[test]
fn refuses_what_no_request_can_match() {
    let cases = [
        ("orders", PatternError::NoSlash),
        ("", PatternError::NoSlash),
        ("/{id", PatternError::Brace("{id".to_owned())),
        ("/v{id}", PatternError::Brace("v{id}".to_owned())),
        ("/{}", PatternError::Name("{}".to_owned())),
        ("/{+}", PatternError::Name("{+}".to_owned())),
        ("/{a+}/b", PatternError::GreedyInside("a".to_owned())),
        ("/{a}/{a+}", PatternError::Twice("a".to_owned())),
        ("/a?b", PatternError::Character('?')),
        ("/a b", PatternError::Character(' ')),
        ("/ö", PatternError::Character('ö')),
        ("/a/./b", PatternError::Dots(".".to_owned())),
        ("/a//b", PatternError::Dots("//".to_owned())),
    ];
    for (text, error) in cases {
        assert_eq!(Pattern::parse(text), Err(error), "{text}");
    }
}

#[test]
fn fills_a_template_with_what_stood_in_the_path() {
    let pattern = Pattern::parse("/{tenant}/files/{proxy+}").unwrap();
    let path = PathPattern::Path(pattern.clone());
    let filled = |template: &str| {
        Template::parse(template, &path)
            .map(|template| template.fill(&pattern.params("/a%2Fb/files/x/y/")))
    };
    assert_eq!(filled("/v2/{proxy}").as_deref(), Ok("/v2/x/y/"));
    assert_eq!(filled("/{proxy+}?").as_deref(), Err(&TemplateError::Character('?')));
    assert_eq!(filled("/t-{tenant}/{proxy+}").as_deref(), Ok("/t-a%2Fb/x/y/"));
    assert_eq!(filled("/fixed").as_deref(), Ok("/fixed"));
    assert_eq!(filled("{proxy}"), Err(TemplateError::NoSlash));
    assert_eq!(filled("/{id}"), Err(TemplateError::Unknown("id".to_owned())));
    assert_eq!(filled("/{proxy"), Err(TemplateError::Brace));
    assert_eq!(filled("/proxy}"), Err(TemplateError::Brace));
}

#[test]
fn only_a_path_has_parameters() {
    for path in [PathPattern::Everything, PathPattern::Prefix("/a".to_owned())] {
        let unknown = Err(TemplateError::Unknown("proxy".to_owned()));
        assert_eq!(Template::parse("/{proxy}", &path), unknown);
        assert!(Template::parse("/b", &path).is_ok());
    }
}
