//! What a configuration needs at run time.

use crate::config::model::template::Template;
use crate::config::model::{Action, Config, GroupId, Location};

impl Config {
    /// The longest line of a head, in bytes, that every request to a group may have: the servers that
    /// pass requests to it may differ. `None` if no server does.
    pub fn head_line_towards(&self, group: GroupId) -> Option<usize> {
        let passes = |location: &Location| matches!(&location.action, Action::Proxy(proxy) if proxy.group == group);
        let its = self.virtual_servers.iter().filter(|server| server.locations.iter().any(passes));
        its.map(|server| server.limits.large_buffer_size).min()
    }

    /// Whether any template evaluated after a response arrives reads the response's fields.
    pub fn reads_response_heads(&self) -> bool {
        let lines = self.log_formats.iter().map(|format| &format.line);
        lines.chain(self.values_of_answers()).any(Template::reads_response_head)
    }

    /// The values of added response fields, of error pages, and of requests for error pages.
    fn values_of_answers(&self) -> impl Iterator<Item = &Template> {
        let locations = self.virtual_servers.iter().flat_map(|server| &server.locations);
        let outside = self.virtual_servers.iter().map(|server| &server.outside);
        let settings = outside.chain(locations.clone().map(|location| &location.settings));
        let of_settings = settings.flat_map(|settings| {
            let added = settings.add_headers.iter().map(|header| &header.value);
            added.chain(settings.error_pages.iter().map(|page| &page.uri))
        });
        let of_actions = locations.flat_map(|location| -> Vec<&Template> {
            match &location.action {
                Action::Proxy(proxy) => {
                    let set = proxy.set_headers.iter().map(|header| &header.value);
                    let redirects = proxy.redirects.iter();
                    set.chain(redirects.flat_map(|pair| [&pair.from, &pair.to])).collect()
                }
                Action::Return(answer) => answer.text.iter().collect(),
                Action::Control | Action::NotFound => Vec::new(),
            }
        });
        of_settings.chain(of_actions)
    }
}
