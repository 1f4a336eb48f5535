"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("data").textContent);
  const root = document.documentElement;
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const DASHES = [[], [8, 4], [3, 3], [10, 3, 3, 3], [6, 2], [2, 5], [12, 4], [4, 8]];

  const make = (tag, attributes = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children); // strings become text nodes: nothing in a record is ever parsed as markup
    return element;
  };
  const style = (name) => getComputedStyle(root).getPropertyValue(name).trim();
  const colour = (backend) => style(`--b${data.colours[backend]}`) || style("--soft");
  const number = (value) =>
    value === null || value === undefined
      ? "" // a legend that nobody points at
      : Math.abs(value) >= 100
        ? value.toLocaleString("en", { maximumFractionDigits: 0 })
        : value.toLocaleString("en", { maximumSignificantDigits: 3 });

  // Plots ------------------------------------------------------------------------------------------------------

  const heightOf = (width) => (width < 420 ? 220 : 300);
  const drawn = new Map(); // holder -> {plot, chart}

  const labels = (plot) => (chart) => {
    const ratio = devicePixelRatio, context = chart.ctx;
    context.save();
    context.fillStyle = style("--ink");
    context.font = `${12 * ratio}px system-ui, sans-serif`;
    context.textBaseline = "bottom";
    context.textAlign = "left";
    const line = 14 * ratio, written = []; // boxes of labels: none is written over another
    plot.series.forEach((series) => {
      const x = chart.valToPos(series.x[0], "x", true), y = chart.valToPos(series.y[0], "y", true);
      const width = context.measureText(series.name).width, right = chart.bbox.left + chart.bbox.width;
      const left = Math.max(chart.bbox.left + 2 * ratio, Math.min(x + 8 * ratio, right - width));
      const over = (low) => written.some((box) => left < box.right && box.left < left + width && Math.abs(low - box.low) < line);
      const places = [0, 1, -2, 2, -3, 3].map((lines) => y - 8 * ratio - lines * line);
      const inside = (low) => low - line >= chart.bbox.top && low <= chart.bbox.top + chart.bbox.height;
      const low = places.find((place) => inside(place) && !over(place)) ?? places[0];
      written.push({ left, right: left + width, low });
      context.fillText(series.name, left, low);
    });
    context.restore();
  };

  const padded = (log) => (chart, low, high) => {
    if (low === null) return [0, 1];
    if (log) return uPlot.rangeLog(low, high, 10, true);
    const margin = Math.max((high - low) * 0.15, Math.abs(high) * 0.02) || 1; // differences under 2 % stay small
    return [low >= 0 ? Math.max(0, low - margin) : low - margin, high + margin];
  };

  const digits = (step) => Math.max(0, Math.min(9, Math.ceil(-Math.log10(step) - 1e-9)));
  const tens = (_, ticks) => ticks.map((tick) => (Number.isInteger(Math.log10(tick)) ? tick : null));
  const power = (tick) => (tick < 1e-3 || tick >= 1e4 ? `10${superscript(Math.round(Math.log10(tick)))}` : String(tick));
  const superscript = (exponent) => [...String(exponent)].map((sign) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(sign)]).join("");
  const axis = (label, size, log) => {
    const filter = log ? { filter: tens } : {};
    return {
      label, size, ...filter, stroke: style("--ink"), font: "12px system-ui, sans-serif", labelFont: "12px system-ui, sans-serif",
      grid: { stroke: style("--line"), width: 1, ...filter }, ticks: { stroke: style("--line"), ...filter }, space: log ? 30 : 60,
      values: (_, ticks, __, ___, step) =>
        ticks.map((tick) => tick === null ? "" : log ? power(tick)
          : tick.toLocaleString("en", { minimumFractionDigits: digits(step), maximumFractionDigits: digits(step) })),
    };
  };
  const options = (plot, width) => {
    const points = plot.kind === "points";
    return {
      width, height: heightOf(width),
      legend: { live: true },
      cursor: { points: { size: 8 }, drag: { x: true, y: false } },
      scales: {
        x: { time: false, distr: plot.x_log ? 3 : 1, ...(points ? { range: padded(false) } : {}) },
        y: { distr: plot.y_log ? 3 : 1, ...(plot.y_log ? {} : { range: plot.y_range || padded(false) }) },
      },
      axes: [axis(plot.x_label, 44, plot.x_log), axis(plot.y_label, 64, plot.y_log)],
      hooks: points ? { draw: [labels(plot)] } : {},
      series: [
        { label: plot.x_label, value: (_, value) => number(value) },
        ...plot.series.map((series) => ({
          label: series.name,
          stroke: colour(series.backend),
          width: 2,
          dash: points ? [] : series.filled ? DASHES[data.colours[series.backend] || 0] : [1, 4],
          spanGaps: true,
          value: (_, value) => number(value),
          paths: points ? () => null : undefined,
          points: {
            show: points || series.x.length < 12, size: series.size, stroke: colour(series.backend), width: 2,
            fill: series.filled ? colour(series.backend) : style("--ground"),
          },
        })),
      ],
    };
  };

  const table = (plot) => uPlot.join(plot.series.map((series) => [series.x, series.y]));

  const draw = (holder, plot, width) => {
    drawn.get(holder)?.chart.destroy();
    const chart = new uPlot(options(plot, width || holder.clientWidth || 600), table(plot), holder);
    drawn.set(holder, { plot, chart });
  };
  const redraw = (width) => drawn.forEach(({ plot }, holder) => draw(holder, plot, width));
  const resized = new ResizeObserver((entries) =>
    entries.forEach(({ target, contentRect }) => {
      const chart = drawn.get(target)?.chart;
      if (chart && contentRect.width && Math.abs(chart.width - contentRect.width) > 1)
        chart.setSize({ width: contentRect.width, height: heightOf(contentRect.width) });
    })
  );
  const seen = new IntersectionObserver((entries) =>
    entries.filter((entry) => entry.isIntersecting).forEach(({ target }) => show(target))
  );
  const show = (holder) => {
    if (drawn.has(holder)) return;
    seen.unobserve(holder);
    draw(holder, data.plots[holder.dataset.chapter][holder.dataset.plot]);
    resized.observe(holder);
  };
  const plots = document.querySelectorAll(".plot");
  plots.forEach((holder) => seen.observe(holder));

  // Light and dark ---------------------------------------------------------------------------------------------

  const button = byId("theme");
  const setTheme = (name) => {
    root.dataset.theme = name;
    button.textContent = name === "dark" ? "Light" : "Dark"; // what a press gives
    redraw();
  };
  let chosen = "";
  const current = () => chosen || (dark.matches ? "dark" : "light");
  setTheme(current());
  button.addEventListener("click", () => setTheme((chosen = current() === "dark" ? "light" : "dark")));
  dark.addEventListener("change", () => setTheme(current()));
  window.addEventListener("beforeprint", () => {
    root.dataset.theme = "light";
    plots.forEach(show);
    redraw(340);
  });
  window.addEventListener("afterprint", () => setTheme(current()));

  // The table --------------------------------------------------------------------------------------------------

  const body = document.querySelector("#rows tbody");
  const headings = [...document.querySelectorAll("#rows thead th")];
  const rows = [...body.rows];
  const details = new Map(); // row -> its opened detail
  const keys = rows.map((row) => [...row.cells].map((cell) => cell.dataset.key));
  const values = rows.map((row) => JSON.parse(row.dataset.values));
  const texts = rows.map((row) => row.textContent.toLowerCase());

  const compare = (column, descending) => (a, b) => {
    const [x, y] = [keys[a][column], keys[b][column]];
    if (x === "" || y === "") return (x === "") - (y === "") || a - b; // what has no figure comes last, always
    const order = isNaN(x) || isNaN(y) ? x.localeCompare(y, "en", { numeric: true }) : x - y;
    return (descending ? -order : order) || a - b;
  };
  const sort = (column, direction) => {
    headings.forEach((heading, index) => heading.setAttribute("aria-sort", index === column ? direction : "none"));
    const order = rows.map((_, index) => index);
    if (direction !== "none") order.sort(compare(column, direction === "descending"));
    const moved = document.createDocumentFragment();
    order.forEach((index) => moved.append(rows[index], ...(details.has(rows[index]) ? [details.get(rows[index])] : [])));
    body.append(moved);
    byId("sort").value = direction === "none" ? "" : String(column);
  };
  const NEXT = { none: "ascending", ascending: "descending", descending: "none" };
  headings.forEach((heading, column) =>
    heading.querySelector("button").addEventListener("click", () => sort(column, NEXT[heading.getAttribute("aria-sort")]))
  );
  byId("sort").addEventListener("change", ({ target }) =>
    target.value ? sort(Number(target.value), "ascending") : sort(0, "none")
  );

  const selects = [...document.querySelectorAll("[data-filter]")];
  const filter = () => {
    const wanted = selects.map((select) => select.value);
    const needle = byId("search").value.trim().toLowerCase();
    let shown = 0;
    rows.forEach((row, index) => {
      const fits = wanted.every((value, at) => !value || values[index][at] === value) && texts[index].includes(needle);
      row.hidden = !fits;
      if (details.has(row)) details.get(row).hidden = !fits;
      shown += fits;
    });
    byId("count").textContent = `${shown.toLocaleString("en")} of ${rows.length.toLocaleString("en")} rows`;
  };
  const form = document.querySelector(".filters");
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(() => { sort(0, "none"); filter(); widen(); }));
  const widen = () => byId("rows").classList.toggle("all", byId("all").checked);
  byId("all").addEventListener("change", widen);
  filter(); // a browser may have kept what was chosen before a reload
  widen();

  // The details of a row ---------------------------------------------------------------------------------------

  const copy = async (text, code, told) => {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      getSelection().selectAllChildren(code);
      document.execCommand("copy");
    }
    told.textContent = "copied";
    setTimeout(() => (told.textContent = ""), 3000);
  };
  const command = (text) => {
    const code = make("code", {}, text), told = make("span", { role: "status" });
    const press = make("button", { type: "button", class: "copy" }, "Copy");
    press.addEventListener("click", () => copy(text, code, told));
    return make("div", { class: "command" }, code, press, told);
  };
  const list = ({ title, entries }) =>
    make("section", {}, make("h4", {}, title),
      make("dl", {}, ...entries.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value)))));
  const samples = ({ plot, text }) => {
    const holder = make("div", { class: "plot", role: "img", "aria-label": `${plot.title}. ${plot.text}` });
    const raw = make("details", {}, make("summary", {}, "Samples as numbers"), make("p", {}, text));
    return [make("section", { class: "samples" }, make("h4", {}, plot.title), holder, make("p", {}, plot.text), raw), holder];
  };
  const detail = (row) => {
    const known = data.rows[row.dataset.row];
    const cell = make("td", { role: "cell", colspan: String(headings.length) });
    const panels = make("div", { class: "panels" }, ...known.lists.map(list));
    const inside = make("div", { class: "inside" }, make("h3", {}, known.title));
    if (known.said) inside.append(make("p", {}, known.said));
    inside.append(make("p", {}, "To make it again:"), command(known.command), panels);
    cell.append(inside);
    if (known.samples) {
      const [section, holder] = samples(known.samples);
      inside.append(section);
      requestAnimationFrame(() => { draw(holder, known.samples.plot); resized.observe(holder); });
    }
    return make("tr", { role: "row", class: "detail", id: `${row.id}-detail` }, cell);
  };
  const close = (row) => {
    const holder = details.get(row).querySelector(".plot");
    if (holder) { resized.unobserve(holder); drawn.get(holder)?.chart.destroy(); drawn.delete(holder); }
    details.get(row).remove();
    details.delete(row);
  };
  body.addEventListener("click", ({ target }) => {
    const opener = target.closest("button.open");
    if (!opener) return;
    const row = opener.closest("tr"), open = details.has(row);
    if (open) close(row);
    else {
      details.set(row, detail(row));
      row.after(details.get(row));
      details.get(row).querySelector(".command").scrollIntoView({ block: "nearest" });
      opener.setAttribute("aria-controls", details.get(row).id);
    }
    if (open) opener.removeAttribute("aria-controls");
    opener.setAttribute("aria-expanded", String(!open));
  });
})();
