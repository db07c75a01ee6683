"use strict";
(() => {
  const { days, figures } = JSON.parse(document.getElementById("data-json").textContent);
  const config = { responsive: true, displayModeBar: false, scrollZoom: false };

  function draw(place) {
    const figure = figures[place.dataset.figure];
    if (!figure || place.dataset.drawn) return;
    place.dataset.drawn = "yes";
    for (const trace of figure.data) if (trace.x === "days") trace.x = days;
    // A phone's thumb scrolls the page over a plot: no dragging there.
    if (window.matchMedia("(pointer: coarse)").matches) figure.layout.dragmode = false;
    Plotly.newPlot(place, figure.data, figure.layout, config);
  }

  const plots = document.querySelectorAll(".plot");
  const watcher = new IntersectionObserver(
    (entries) => entries.forEach((entry) => entry.isIntersecting && draw(entry.target)),
    { rootMargin: "600px" },
  );
  plots.forEach((plot) => watcher.observe(plot));
  window.addEventListener("beforeprint", () => plots.forEach(draw));

  for (const group of document.querySelectorAll(".switch")) {
    const place = document.querySelector('[data-figure="' + group.dataset.for + '"]');
    const buttons = [...group.querySelectorAll("button")];
    for (const button of buttons) {
      button.addEventListener("click", () => {
        draw(place);
        const scale = button.dataset.scale;
        Plotly.relayout(place, {
          "yaxis.type": scale,
          "yaxis.tickmode": scale === "log" ? "array" : "auto",
          "yaxis.autorange": true,
        });
        for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
      });
    }
  }

  function keyOf(row, column) {
    const cell = row.cells[column];
    const text = cell.dataset.key ?? cell.textContent;
    const number = Number(text.replace(/[,\s%+]|USDT/g, ""));
    return text !== "" && Number.isFinite(number) ? number : text;
  }

  function compare(a, b) {
    if (typeof a === "number" && typeof b === "number") return a - b;
    return String(a).localeCompare(String(b));
  }

  function sortBy(table, header) {
    const column = header.cellIndex;
    const turn = header.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
    for (const other of header.parentElement.cells) other.setAttribute("aria-sort", "none");
    header.setAttribute("aria-sort", turn);
    const sign = turn === "ascending" ? 1 : -1;
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row) => [keyOf(row, column), row]);
    rows.sort(([a], [b]) => sign * compare(a, b));
    body.append(...rows.map(([, row]) => row));
  }

  for (const table of document.querySelectorAll("table.sortable")) {
    for (const header of table.tHead.rows[0].cells) {
      header.tabIndex = 0;
      header.title = "Sort by " + header.textContent;
      header.addEventListener("click", () => sortBy(table, header));
      header.addEventListener("keydown", (event) => {
        if (event.key === "Enter" || event.key === " ") {
          event.preventDefault();
          sortBy(table, header);
        }
      });
    }
  }

  for (const bar of document.querySelectorAll(".filters")) {
    const rows = [...document.getElementById(bar.dataset.for).tBodies[0].rows];
    const input = bar.querySelector("input");
    const select = bar.querySelector("select");
    const count = bar.querySelector(".count");
    const texts = rows.map((row) => [...row.cells].map((cell) => cell.textContent).join(" ").toLowerCase());
    const apply = () => {
      const words = input.value.toLowerCase().split(/\s+/);
      const engine = select ? select.value : "";
      let shown = 0;
      rows.forEach((row, number) => {
        const wanted = !engine || row.dataset.engine === engine;
        row.hidden = !wanted || !words.every((word) => texts[number].includes(word));
        if (!row.hidden) shown += 1;
      });
      count.textContent = shown === rows.length ? rows.length + " rows" : shown + " of " + rows.length + " rows";
    };
    input.addEventListener("input", apply);
    if (select) select.addEventListener("change", apply);
    apply();
  }
})();
