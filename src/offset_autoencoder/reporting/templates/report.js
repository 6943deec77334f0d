"use strict";
// Sorts tables, draws charts and switches what they show. Without it the page still reads.
(() => {
  // Numbers within a text count as what they are: 0.05 stands before 0.1, and 9 before 10.
  function compareTexts(a, b) {
    const number = /(\d+(?:\.\d+)?(?:e[-+]?\d+)?)/;
    const [partsA, partsB] = [a.split(number), b.split(number)];
    for (let place = 0; place < Math.min(partsA.length, partsB.length); place += 1) {
      const [partA, partB] = [partsA[place], partsB[place]];
      const order = place % 2 ? partA - partB : partA.localeCompare(partB, "en");
      if (order) return order;
    }
    return partsA.length - partsB.length;
  }

  // A column's order: none, then ascending, then descending, then none again.
  function sortTable(table, column, heading) {
    const next = { none: "ascending", ascending: "descending", descending: "none" };
    const order = next[heading.getAttribute("aria-sort") || "none"];
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    if (order !== "none") heading.setAttribute("aria-sort", order);
    const body = table.tBodies[0];
    const rows = [...body.rows].sort((a, b) => a.dataset.place - b.dataset.place);
    if (order !== "none") {
      const sign = order === "ascending" ? 1 : -1;
      rows.sort((a, b) => compare(a.cells[column], b.cells[column], sign));
    }
    body.append(...rows);
  }

  // What is empty comes last in both directions.
  function compare(a, b, sign) {
    const [textA, textB] = [a.textContent.trim(), b.textContent.trim()];
    const [numberA, numberB] = [a.dataset.sort, b.dataset.sort];
    if (numberA !== undefined && numberB !== undefined) return sign * (numberA - numberB);
    if (numberA !== undefined || numberB !== undefined) return numberA === undefined ? 1 : -1;
    if (!textA || !textB) return (textA ? 0 : 1) - (textB ? 0 : 1);
    return sign * compareTexts(textA, textB);
  }

  for (const table of document.querySelectorAll("table.sortable")) {
    [...table.tBodies[0].rows].forEach((row, place) => { row.dataset.place = place; });
    [...table.tHead.rows[0].cells].forEach((heading, column) => {
      const button = heading.querySelector("button");
      if (button) button.addEventListener("click", () => sortTable(table, column, heading));
    });
  }

  // The contents: folded where they would stand above the answer, and where the reader is.
  const contents = document.getElementById("contents");
  const beside = window.matchMedia("(min-width: 68.75rem)");
  const unfold = () => { contents.open = beside.matches; };
  unfold();
  beside.addEventListener("change", unfold);
  const links = [...contents.querySelectorAll("a")];
  const watch = new IntersectionObserver((seen) => {
    for (const each of seen.filter((one) => one.isIntersecting)) {
      for (const link of links) {
        if (link.hash === `#${each.target.id}`) link.setAttribute("aria-current", "true");
        else link.removeAttribute("aria-current");
      }
    }
  }, { rootMargin: "0px 0px -75% 0px" });
  for (const section of document.querySelectorAll("main > section")) watch.observe(section);

  const options = { mode: "vega-lite", renderer: "svg", actions: false, ast: true, logLevel: 1 };

  const axis = 64; // pixels beside a panel

  // How many panels stand side by side: as many as have room, and two at least.
  function columnsOf(figure) {
    const width = figure.querySelector(".plot").clientWidth;
    return Math.max(2, Math.floor(width / figure.dataset.facet));
  }

  async function draw(figure) {
    const plot = figure.querySelector(".plot");
    const spec = JSON.parse(figure.querySelector("script").textContent);
    if (figure.dataset.facet) {
      spec.columns = columnsOf(figure);
      const room = Math.floor(plot.clientWidth / spec.columns) - axis;
      spec.spec.width = spec.spec.height = Math.min(spec.spec.width, room);
      figure.dataset.columns = spec.columns;
    }
    spec.config.legend.columns = plot.clientWidth < 420 ? 1 : plot.clientWidth < 640 ? 2 : 4;
    try {
      if (figure.drawn) figure.drawn.finalize();
      figure.drawn = await window.vegaEmbed(plot, spec, options);
      // The plot is one picture to a screen reader, with a name; its numbers are in a table.
      plot.querySelector("svg").setAttribute("aria-hidden", "true");
      const boxes = [...figure.querySelectorAll(".switches input")];
      if (boxes.length) {
        figure.show = () => {
          const shown = boxes.filter((box) => box.checked).map((box) => box.value);
          return figure.drawn.view.signal("shown", shown).runAsync();
        };
        if (boxes.some((box) => !box.checked)) await figure.show();
      }
    } catch (error) {
      plot.innerHTML = "<p class=failed>This chart could not be drawn.</p>";
      console.error(error);
    }
  }

  const figures = [...document.querySelectorAll("figure[data-chart]")];
  for (const figure of figures) {
    const boxes = [...figure.querySelectorAll(".switches input")];
    figure.addEventListener("change", () => figure.show && figure.show());
    for (const button of figure.querySelectorAll("button[data-show]")) {
      button.addEventListener("click", () => {
        for (const box of boxes) box.checked = button.dataset.show === "all";
        if (figure.show) figure.show();
      });
    }
  }

  // One after the other, so that the page can be scrolled meanwhile.
  (async () => {
    for (const figure of figures) await draw(figure);
    document.documentElement.dataset.drawn = figures.length;
  })();

  let waiting = 0;
  window.addEventListener("resize", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      for (const figure of figures.filter((each) => each.dataset.facet)) {
        if (columnsOf(figure) !== Number(figure.dataset.columns)) draw(figure);
      }
    }, 200);
  });

  // What is folded is printed, too.
  let folded = [];
  window.addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("details:not([open])")];
    for (const each of folded) each.open = true;
  });
  window.addEventListener("afterprint", () => {
    for (const each of folded) each.open = false;
  });
})();
