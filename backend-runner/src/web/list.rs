//! The list of repositories as a page, in gitweb's looks: what the caller may read, a page at a time.
//!
//! Every name on it has passed the policy for this caller, so that what is hidden cannot be told from what is not there:
//! counts, pages and search know only what is shown.

use std::fmt::Write;

use policy::Policy;
use policy::access::Verdict;
use policy::git_request::Access;
use policy::identity::Identity;
use policy::list_request::{LOGIN, ListRequest};

use super::catalogue::Entry;
use crate::config::Gitweb;

/// How many repositories are on one page.
const PAGE: usize = 500;

/// What of the catalogue the caller may read and asked for, in order.
pub fn visible<'c>(
    entries: &'c [Entry],
    policy: &Policy,
    identity: &Identity,
    request: &ListRequest,
) -> Vec<&'c Entry> {
    let search = request.search().map(|text| text.to_lowercase());
    let asked = |entry: &Entry| {
        let shown = || format!("{} {}", entry.repo, entry.description).to_lowercase();
        entry.repo.as_str().starts_with(request.below())
            && search.as_ref().is_none_or(|text| shown().contains(text.as_str()))
    };
    let readable =
        |entry: &Entry| matches!(policy.decide(identity, &entry.repo, Access::Read), Verdict::Allow(_));
    entries.iter().filter(|entry| asked(entry) && readable(entry)).collect()
}

/// The page.
#[must_use]
pub fn html(gitweb: &Gitweb, request: &ListRequest, identity: &Identity, entries: &[&Entry]) -> String {
    let mount = gitweb.url.mount.as_str();
    let (title, statics) = (escaped(&gitweb.title), gitweb.statics.as_str());
    let search = request.search().unwrap_or_default();
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>{title}</title>\n\
         <link rel=\"stylesheet\" href=\"{statics}gitweb.css\">\n\
         <link rel=\"icon\" href=\"{statics}git-favicon.png\" type=\"image/png\">\n</head>\n<body>\n\
         <div class=\"page_header\">\n<a href=\"{mount}\"><img src=\"{statics}git-logo.png\" width=\"72\" height=\"27\" \
         alt=\"git\" class=\"logo\"></a><a href=\"{mount}\">repositories</a> / {}\n</div>\n\
         <div class=\"projsearch\">\n<form method=\"get\" action=\"{mount}{}\">\n\
         <input type=\"text\" name=\"s\" value=\"{}\" size=\"60\">\n<input type=\"submit\" value=\"Search\">\n</form>\n</div>\n",
        crumbs(mount, request.below()),
        request.below(),
        escaped(&search),
    );
    let first = request.page().saturating_mul(PAGE).min(entries.len());
    let shown = &entries[first..entries.len().min(first + PAGE)];
    table(&mut page, mount, shown);
    if shown.is_empty() {
        page.push_str("<div class=\"page_body\">There is nothing here that you may read.</div>\n");
    }
    footer(&mut page, gitweb, request, identity, (first, shown.len(), entries.len()));
    page.push_str("</body>\n</html>\n");
    page
}

/// A link to every directory on the way.
fn crumbs(mount: &str, below: &str) -> String {
    let mut links = String::new();
    let slashes = below.match_indices('/').map(|(at, _)| at);
    let mut start = 0;
    for end in slashes {
        let _ = write!(links, "<a href=\"{mount}{}\">{}</a> / ", &below[..=end], &below[start..end]);
        start = end + 1;
    }
    links
}

fn table(page: &mut String, mount: &str, entries: &[&Entry]) {
    page.push_str("<table class=\"project_list\">\n<tr><th>Project</th><th>Description</th><th></th></tr>\n");
    for (number, Entry { repo, description }) in entries.iter().enumerate() {
        let class = if number % 2 == 0 { "light" } else { "dark" };
        let link = format!("{mount}{repo}");
        let _ = writeln!(
            page,
            "<tr class=\"{class}\"><td><a class=\"list\" href=\"{link}\">{repo}</a></td><td>{}</td><td class=\"link\">\
             <a href=\"{link}/summary\">summary</a> | <a href=\"{link}/shortlog\">shortlog</a> | \
             <a href=\"{link}/log\">log</a> | <a href=\"{link}/tree\">tree</a></td></tr>",
            escaped(description),
        );
    }
    page.push_str("</table>\n");
}

fn footer(
    page: &mut String,
    gitweb: &Gitweb,
    request: &ListRequest,
    identity: &Identity,
    (first, shown, all): (usize, usize, usize),
) {
    page.push_str("<div class=\"page_footer\">\n<div class=\"page_footer_text\">");
    let here = format!("{}{}", gitweb.url.mount, request.below());
    let search = request.raw_search().map(|text| format!("s={text}&amp;")).unwrap_or_default();
    if shown < all {
        let _ = write!(page, "{} to {} of {all}", first + 1, first + shown);
        for (word, number) in [("previous", request.page().wrapping_sub(1)), ("next", request.page() + 1)] {
            if number.saturating_mul(PAGE) < all {
                let _ = write!(page, " <a href=\"{here}?{search}pg={number}\">{word}</a>");
            }
        }
    }
    match identity.name() {
        Some(name) => {
            let _ = write!(page, " logged in as {}", escaped(name.as_str()));
        }
        None => {
            let _ = write!(page, " <a href=\"{here}?{LOGIN}\">log in</a>");
        }
    }
    page.push_str("</div>\n</div>\n");
}

/// Text that stays text inside elements and quoted attributes.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            _ => safe.push(character),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use policy::git_request::Mount;
    use policy::repo_path::RepoPath;

    use super::*;

    const POLICY: &[u8] = b"version: 1\naccess: { team/: { read: [anonymous] } }\n";

    fn page(target: &str) -> (usize, String) {
        let entry = |name: String| Entry { repo: RepoPath::parse(&name).unwrap(), description: name };
        let names =
            (0..1200).flat_map(|number| [format!("team/{number:04}.git"), format!("hidden/{number:04}.git")]);
        let entries: Vec<_> = names.map(entry).collect();
        let policy = Policy::parse("p", POLICY).unwrap();
        let request = ListRequest::parse(&Mount::default(), "GET", target.as_bytes()).unwrap();
        let visible = visible(&entries, &policy, &Identity::Anonymous, &request);
        let html = html(&Gitweb::default(), &request, &Identity::Anonymous, &visible);
        assert!(!html.replace(target, "").contains("hidden/0"), "{html}");
        (html.matches("class=\"list\"").count(), html)
    }

    #[test]
    fn many_repositories_are_on_several_pages_that_count_what_is_shown_only() {
        let (rows, first) = page("/git/");
        assert!(rows == PAGE && first.contains("1 to 500 of 1200") && !first.contains("previous"));
        assert!(first.contains("href=\"/git/?pg=1\">next<"), "{first}");
        let (rows, last) = page("/git/?pg=2");
        assert!(rows == 200 && last.contains("pg=1\">previous<") && !last.contains("next<"), "{last}");
        assert_eq!(page("/git/?pg=3").0, 0);
        assert_eq!(page("/git/hidden/").0, 0);
    }

    #[test]
    fn a_search_stays_on_the_next_page_and_is_text_in_this_one() {
        let (rows, html) = page("/git/team/?s=TEAM%2F0");
        assert!(rows == PAGE && html.contains("href=\"/git/team/?s=TEAM%2F0&amp;pg=1\""), "{html}");
        let (rows, html) = page("/git/?s=%22%3E%3Cscript%3E");
        assert!(rows == 0 && html.contains("value=\"&quot;&gt;&lt;script&gt;\""), "{html}");
    }
}
