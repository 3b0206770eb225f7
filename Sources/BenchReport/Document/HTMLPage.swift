import Foundation

/// What every page has: its colours, and what makes tables sort and rows come and go.
enum HTMLPage {
  static func text(title: String, body: String) -> String {
    """
    <!doctype html>
    <html lang="en">
    <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="color-scheme" content="light dark">
    <title>\(escaped(title.replacingOccurrences(of: "`", with: "")))</title>
    <style>
    \(colours)\(style)\(chartStyle)</style>
    </head>
    <body>
    <main>
    \(body)</main>
    <script>
    \(script)</script>
    </body>
    </html>

    """
  }

  /// Tags as attributes that rows are chosen by.
  static func attributes(_ tags: [String: String]) -> String {
    tags.sorted { $0.key < $1.key }.map { " data-\($0.key)=\"\(escaped($0.value))\"" }.joined()
  }

  static let colours = """
    :root{--page:#fff;--ink:#1b1f24;--faint:#656d76;--rule:#d0d7de;--shade:#f3f5f7;--accent:#0b62c4;
    --good:#116329;--bad:#b3261e;--doubt:#7d5700;
    --s0:#0b62c4;--s1:#b3500b;--s2:#116329;--s3:#8250df;--s4:#a40e6c;--s5:#5c6670}
    @media (prefers-color-scheme:dark){:root{--page:#0f1318;--ink:#e4e8ec;--faint:#98a2ad;--rule:#343c46;
    --shade:#1a2028;--accent:#6cb2ff;--good:#5fcf80;--bad:#ff8a80;--doubt:#e0b050;
    --s0:#6cb2ff;--s1:#f0a060;--s2:#5fcf80;--s3:#c0a0ff;--s4:#ff8fc8;--s5:#a8b2bd}}

    """

  static let chartStyle = """
    svg{width:100%;height:auto;font:12px system-ui,sans-serif;fill:currentColor}
    .title{font-weight:600;font-size:13px}.tick{fill:var(--faint);font-size:11px}.value{fill:var(--faint)}
    .grid{stroke:var(--rule);stroke-width:.6}.bar,.box{fill:var(--s0);opacity:.75}
    .block{opacity:.55;stroke:var(--page);stroke-width:.5}.name{font-size:11px}
    .interval{stroke:var(--ink);stroke-width:1.4}.median{stroke:var(--ink);stroke-width:2}
    .reference{stroke:var(--bad);stroke-width:1.2;stroke-dasharray:5 3}
    .line{stroke-width:1.8;fill:none}.dot{opacity:.8;stroke:var(--page);stroke-width:1}.step{stroke:var(--bad);stroke-width:2}
    .s0{fill:var(--s0)}.s1{fill:var(--s1)}.s2{fill:var(--s2)}.s3{fill:var(--s3)}.s4{fill:var(--s4)}.s5{fill:var(--s5)}
    line.s0{stroke:var(--s0)}line.s1{stroke:var(--s1)}line.s2{stroke:var(--s2)}line.s3{stroke:var(--s3)}
    line.s4{stroke:var(--s4)}line.s5{stroke:var(--s5)}

    """

  private static let style = """
    *{box-sizing:border-box}
    body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
    main{max-width:1100px;margin:0 auto;padding:1.2rem 1rem 3rem}
    h1{font-size:1.5rem;line-height:1.25;margin:.4rem 0 1rem;overflow-wrap:anywhere}
    h2{font-size:1.2rem;margin:2.2rem 0 .6rem;padding-bottom:.2rem;border-bottom:1px solid var(--rule)}
    h3{font-size:1rem;margin:1.4rem 0 .4rem}
    p{max-width:75ch}
    code{font:.9em ui-monospace,monospace;background:var(--shade);padding:.1em .3em;border-radius:3px}
    pre{background:var(--shade);padding:.7rem;overflow-x:auto;border-radius:6px}pre code{background:none;padding:0}
    .note{border-left:4px solid var(--doubt);padding:.2rem .8rem;background:var(--shade)}
    .scroll{overflow-x:auto;margin:.8rem 0}
    .scroll:focus-visible,button:focus-visible,select:focus-visible,input:focus-visible{outline:2px solid var(--accent)}
    table{border-collapse:collapse;font-size:.87rem;font-variant-numeric:tabular-nums;min-width:50%}
    th,td{padding:.25rem .6rem;border-bottom:1px solid var(--rule);text-align:left;vertical-align:top}
    thead th{position:sticky;top:0;background:var(--shade);padding:0}
    tbody th{font-weight:500;white-space:nowrap}
    td:not(.figure):not([colspan]){min-width:9ch}.long{min-width:28ch}
    .figure{text-align:right;white-space:nowrap}
    thead button{all:unset;box-sizing:border-box;width:100%;cursor:pointer;padding:.3rem .6rem;font-weight:600;
    white-space:nowrap}
    thead .figure button{text-align:right}
    th[aria-sort=ascending] button::after{content:" ▲"}th[aria-sort=descending] button::after{content:" ▼"}
    tbody tr:hover{background:var(--shade)}
    .verdict{font-weight:600}.regression,.failed,.invalid{color:var(--bad)}.improvement,.pass{color:var(--good)}
    .unresolved,.changed,.no-data{color:var(--doubt)}
    form{display:flex;flex-wrap:wrap;gap:.6rem 1rem;align-items:end;margin:1rem 0;padding:.7rem;background:var(--shade);
    border-radius:6px}
    form:empty{display:none}
    label{display:flex;flex-direction:column;font-size:.8rem;color:var(--faint)}
    select,input{font:inherit;font-size:.9rem;color:var(--ink);background:var(--page);border:1px solid var(--rule);
    border-radius:4px;padding:.25rem .4rem;min-height:2.1rem}
    figure{margin:1rem 0;max-width:820px}
    [hidden]{display:none}
    g[data-off]{opacity:.12}
    @media (max-width:600px){main{padding:.8rem .7rem 2rem}body{font-size:14px}
    tbody th{white-space:normal;min-width:9rem}figure{overflow-x:auto}figure svg{min-width:560px}}
    @media print{form{display:none}main{max-width:none;padding:0}.scroll{overflow:visible}
    thead th{position:static}table{font-size:8pt}figure,tr{break-inside:avoid}h2,h3{break-after:avoid}}

    """

  private static let script = """
    "use strict";
    for (const table of document.querySelectorAll("table")) {
      const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
      const key = (row, column) => {
        const cell = row.cells[Math.min(column, row.cells.length - 1)];
        if (cell.dataset.key !== undefined) return Number(cell.dataset.key);
        const text = cell.textContent.trim(), number = Number.parseFloat(text.replace(/,/g, ""));
        return /^[+\\-−±]?[0-9]/.test(text) && !Number.isNaN(number) ? number : text;
      };
      heads.forEach((head, column) => head.firstChild.addEventListener("click", () => {
        const up = head.getAttribute("aria-sort") !== "ascending";
        for (const other of heads) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        const rows = [...body.rows].map(row => [key(row, column), row]);
        rows.sort(([a], [b]) => {
          if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
          const order = typeof a === "number" ? a - b : a.localeCompare(b);
          return up ? order : -order;
        });
        body.append(...rows.map(([, row]) => row));
      }));
    }

    const form = document.getElementById("filters");
    if (form) {
      const tagged = [...document.querySelectorAll("tbody tr, svg g")].filter(item => item.dataset.model !== undefined);
      const words = name => [...new Set(tagged.flatMap(item => (item.dataset[name] ?? "").split(" ")))].filter(Boolean);
      const add = (name, title, choices) => {
        if (choices.length < 2) return;
        const label = document.createElement("label"), select = document.createElement("select");
        select.name = name;
        select.append(new Option("all", ""), ...choices.map(([text, value]) => new Option(text, value)));
        label.append(title, select);
        form.append(label);
      };
      const plain = list => list.map(word => [word, word]);
      add("model", "model", plain(words("model")));
      add("backend", "backend", plain(words("backend")));
      add("passes", "optimisation", words("passes").flatMap(word => [["with " + word, word], ["without " + word, "!" + word]]));
      const label = document.createElement("label"), input = document.createElement("input");
      Object.assign(input, {type: "search", name: "text", placeholder: "part of a name"});
      label.append("text", input);
      form.append(label);
      const update = () => {
        const chosen = new FormData(form);
        const fits = item => {
          for (const name of ["model", "backend", "passes"]) {
            const wanted = chosen.get(name);
            if (!wanted) continue;
            const has = (item.dataset[name] ?? "").split(" ").includes(wanted.replace("!", ""));
            if (has === wanted.startsWith("!")) return false;
          }
          return item.textContent.toLowerCase().includes((chosen.get("text") ?? "").toLowerCase());
        };
        for (const item of tagged) {
          const shown = fits(item);
          if (item.tagName === "TR") item.hidden = !shown; else item.toggleAttribute("data-off", !shown);
        }
      };
      form.addEventListener("input", update);
      form.addEventListener("submit", event => event.preventDefault());
    }

    """
}
