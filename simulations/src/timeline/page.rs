//! The page around pictures and tables: its style, and text made fit for it.

const STYLE: &str = "\
:root{color-scheme:light dark;--paper:#fdfdfb;--ink:#1d2329;--soft:#6b747d;--line:#d9dcdf;--lane:#f2f3f1;--bad:#c8102e;--fault:#d9730d;--light:62%}\
@media(prefers-color-scheme:dark){:root{--paper:#15181b;--ink:#e4e7ea;--soft:#98a1aa;--line:#33393f;--lane:#1d2125;--bad:#ff5566;--fault:#f0a040;--light:48%}}\
body{margin:2rem auto;max-width:1340px;padding:0 1rem;background:var(--paper);color:var(--ink);font:15px/1.45 system-ui,sans-serif}\
h1{font-size:1.5rem}h2{font-size:1.15rem;margin:2.2rem 0 .3rem}p{margin:.2rem 0}\
table{border-collapse:collapse;margin:.6rem 0}td,th{padding:.15rem .8rem .15rem 0;text-align:left;vertical-align:top;border-bottom:1px solid var(--line)}\
th{color:var(--soft);font-weight:500}.clean{color:#2e8b57}.dirty{color:var(--bad);font-weight:600}\
.marks td{font-size:.85rem;padding-right:1rem}td.fault{color:var(--fault)}td.violation{color:var(--bad);font-weight:600}\
svg{width:100%;height:auto;display:block;margin:.6rem 0}svg text{fill:var(--soft);font:11px system-ui,sans-serif}\
svg .name{fill:var(--ink);font-size:12px}svg .lane{fill:var(--lane)}svg .tick{stroke:var(--line)}\
svg .bar{stroke:var(--paper);stroke-width:.6}svg .label{fill:#fff;font-size:9px;pointer-events:none}\
svg .twice{fill:none;stroke:var(--bad);stroke-width:2.5}\
svg .span{opacity:.22}svg .fault{fill:var(--fault);stroke:var(--fault)}svg .event{fill:var(--soft);stroke:var(--soft)}\
svg .violation{fill:var(--bad);stroke:var(--bad)}svg .stem{stroke-dasharray:3 3;stroke-width:1}\
svg .number{stroke:none;font-weight:600}";

/// A whole page of parts that [`Timeline::section`] and others have made.
pub fn page(title: &str, parts: &[String]) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title>\
         <style>{STYLE}</style></head><body>\n<h1>{title}</h1>\n{}\n</body></html>\n",
        parts.join("\n"),
        title = escape(title),
    )
}

/// Text as it may stand in HTML.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
