// Sorting, copying and the theme. Without it the page loses these and nothing else.
(() => {
  "use strict";
  const status = document.getElementById("status");
  const say = (text) => { status.textContent = text; };
  const full = (cell) => cell.dataset.v ?? cell.textContent.trim();
  const rows = (table) => [...table.tBodies[0].rows];
  const button = (text, act) => {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = text;
    made.addEventListener("click", act);
    return made;
  };

  // Numbers by size, texts by the alphabet with the numbers in them by size; blanks last.
  const compare = (a, b) => {
    const [x, y] = [Number(a), Number(b)];
    return Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b, "en", { numeric: true }) : x - y;
  };
  const sort = (table, column, head) => {
    const up = head.getAttribute("aria-sort") !== "ascending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const keyed = rows(table).map((row) => [full(row.cells[column]), row]);
    const blank = ([key]) => key === "" || key === "–";
    keyed.sort((a, b) => blank(a) - blank(b) || (blank(a) ? 0 : compare(a[0], b[0]) * (up ? 1 : -1)));
    table.tBodies[0].append(...keyed.map(([, row]) => row));
    say(`Sorted by ${head.textContent}, ${up ? "ascending" : "descending"}`);
  };

  const shown = (cell) => cell.innerText.replace(/\s+/g, " ").trim();
  const grid = (table, text) => [[...table.tHead.rows[0].cells].map((c) => c.textContent.trim()),
    ...rows(table).map((row) => [...row.cells].map(text))];
  const numeric = (table) => [...table.tHead.rows[0].cells].map((c) => c.classList.contains("n"));
  const tex = (text) => text.replace(/[\\&%$#_{}~^]/g, (c) =>
    ({ "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}" })[c] ?? `\\${c}`);
  const formats = {
    TSV: (table) => grid(table, full).map((row) => row.join("\t")).join("\n"),
    Markdown: (table) => {
      const line = (row) => `| ${row.map((c) => c.replaceAll("|", "\\|")).join(" | ")} |`;
      const [head, ...body] = grid(table, shown);
      return [line(head), line(numeric(table).map((n) => (n ? "---:" : "---"))), ...body.map(line)].join("\n");
    },
    LaTeX: (table) => {
      const line = (row) => `${row.map(tex).join(" & ")} \\\\`;
      const [head, ...body] = grid(table, shown);
      const spec = numeric(table).map((n) => (n ? "r" : "l")).join("");
      return [`\\begin{tabular}{${spec}}`, "\\toprule", line(head), "\\midrule", ...body.map(line), "\\bottomrule", "\\end{tabular}"].join("\n");
    },
  };
  const copy = async (text) => {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const area = document.createElement("textarea");
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
  };

  for (const table of document.querySelectorAll("table[data-file]")) {
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      const sorter = button(head.textContent, () => sort(table, column, head));
      sorter.className = "sort";
      head.replaceChildren(sorter);
    });
    const tools = document.createElement("div");
    tools.className = "tools";
    tools.setAttribute("role", "group");
    tools.setAttribute("aria-label", `Copy the table ${table.dataset.file}`);
    tools.append("Copy as");
    for (const [name, format] of Object.entries(formats)) {
      tools.append(button(name, () => copy(format(table)).then(() => say(`Copied as ${name}`))));
    }
    table.closest(".scroll").before(tools);
  }

  // The theme of the system, or the one chosen here.
  const root = document.documentElement;
  const store = (value) => { try { localStorage.setItem("cpipe-theme", value); } catch { /* it is forgotten */ } };
  const stored = () => { try { return localStorage.getItem("cpipe-theme"); } catch { return null; } };
  const themes = ["auto", "light", "dark"];
  const set = (theme) => {
    if (theme === "auto") delete root.dataset.theme; else root.dataset.theme = theme;
    chooser.textContent = `Theme: ${theme}`;
  };
  const chooser = button("", () => {
    const next = themes[(themes.indexOf(root.dataset.theme ?? "auto") + 1) % themes.length];
    set(next);
    store(next);
  });
  set(themes.includes(stored()) ? stored() : root.dataset.theme ?? "auto");
  document.querySelector("nav").append(chooser);

  // A link to what is folded away unfolds it.
  const unfold = () => {
    const target = location.hash && document.getElementById(location.hash.slice(1));
    for (let at = target; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
    if (target) target.scrollIntoView();
  };
  addEventListener("hashchange", unfold);
  if (location.hash) unfold();
})();
