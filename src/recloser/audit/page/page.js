"use strict";
// Draws the report's figures with the plotting library, and explains the trip that is clicked. Text is
// inserted as text nodes; text for the plotting library, which parses markup, is escaped by plain().
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const LANE = 26, FRAME = 70, NAME = 30, LEFT = 210;
  const options = { displaylogo: false, responsive: true, modeBarButtonsToRemove: ["select2d", "lasso2d", "toImage"] };
  const lanes = byId("lanes"), calls = byId("calls");
  let range = null;
  const period = () => [...data.period];  // a copy, because the library changes the arrays that it gets

  const plain = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  const short = (text) => text.length > NAME ? text.slice(0, NAME - 14) + "…" + text.slice(-13) : text;
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
  const element = (kind, text, kindOfCell) => {
    const made = document.createElement(kind);
    made.textContent = text;
    if (kindOfCell) made.className = kindOfCell;
    return made;
  };
  const row = (cells, kind) => {
    const made = document.createElement("tr");
    cells.forEach(([text, cls]) => made.append(element(kind, text, cls)));
    return made;
  };

  const layout = (more) => ({
    paper_bgcolor: colour("paper"), plot_bgcolor: colour("paper"),
    font: { color: colour("ink"), family: "system-ui, 'DejaVu Sans', sans-serif", size: 12 },
    margin: { l: LEFT, r: 24, t: 12, b: 40 },
    hoverlabel: { align: "left", namelength: -1 },
    ...more,
  });
  const timeAxis = (more) => ({
    type: "date", range: range ? [...range] : period(), gridcolor: colour("line"), linecolor: colour("line"),
    zeroline: false, ...more,
  });

  const shownBreakers = () => {
    const part = byId("filter").value.toLowerCase();
    const only = byId("tripped").checked;
    return data.breakers.filter((b) => b.name.toLowerCase().includes(part) && (!only || b.trips));
  };

  function drawLanes() {
    const shown = shownBreakers();
    const place = new Map(shown.map((b, n) => [b.index, n]));
    const bands = (state, name, hue) => {
      const trace = { type: "bar", orientation: "h", name, x: [], base: [], y: [], hovertext: [],
        hoverinfo: "text", width: 0.62, showlegend: true,
        marker: { color: colour(hue), line: { color: colour(hue), width: 1 } } };
      shown.forEach((b, n) => b.bands.forEach(([kind, start, end, text]) => {
        if (kind !== state) return;
        trace.x.push(end - start); trace.base.push(start); trace.y.push(n);
        trace.hovertext.push(plain(b.name) + "<br>" + plain(text));
      }));
      return trace;
    };
    const marks = { type: "scatter", mode: "markers", name: "trip", x: [], y: [], hovertext: [], hoverinfo: "text",
      customdata: [], showlegend: true, cliponaxis: false,
      marker: { symbol: "triangle-down", size: 13, color: colour("ink"), line: { color: colour("paper"), width: 1.5 } } };
    data.trips.forEach((trip, n) => {
      if (!place.has(trip.breaker)) return;
      marks.x.push(trip.at); marks.y.push(place.get(trip.breaker) - 0.34);
      marks.hovertext.push(plain(trip.headline)); marks.customdata.push(n);
    });
    byId("shown").textContent = `${shown.length.toLocaleString("en")} of ${data.breakers.length.toLocaleString("en")} breakers`;
    const height = FRAME + LANE * Math.max(2, shown.length) + 24;
    return Plotly.react(lanes, [bands("OPEN", "open", "open"), bands("HALF_OPEN", "half-open", "half"), marks], layout({
      height, barmode: "overlay", dragmode: "zoom", margin: { l: LEFT, r: 24, t: 76, b: 12 },
      legend: { orientation: "h", x: 0, y: 1, yref: "container", yanchor: "top", xanchor: "left" },
      xaxis: timeAxis({ side: "top" }),
      yaxis: { range: [shown.length - 0.4, -0.7], fixedrange: true, tickvals: shown.map((_, n) => n),
        ticktext: shown.map((b) => plain(short(b.name))), gridcolor: colour("closed"), zeroline: false, ticks: "" },
    }), options);
  }

  function drawCalls() {
    const index = Number(byId("breaker").value);
    const series = index < 0 ? data.together : data.breakers[index];
    const x = series.buckets.map((n) => data.starts[n]);
    const most = Math.max(0, ...series.buckets.map((_, n) => series.succeeded[n] + series.failed[n] + series.ignored[n] + series.rejected[n]));
    const counts = ["succeeded", "failed", "ignored", "rejected"].map((name) => ({
      type: "bar", name, x, y: series[name], offset: 0, width: data.width, marker: { color: colour(name), line: { width: 0 } },
      hovertemplate: "%{y:,} " + name + "<extra></extra>",
    }));
    const line = (name, key, hue, dash) => series[key] && series[key].some((v) => v) ? [{
      type: "scatter", mode: "lines+markers", name, x, y: series[key], yaxis: "y2",
      line: { color: colour(hue), width: 1.75, shape: "hv", dash }, marker: { color: colour(hue), size: 4 },
      hovertemplate: "%{y:.1%} " + name + "<extra></extra>",
    }] : [];
    const rates = [
      ...line("failure rate", "failure_rate", "failed"), ...line("slow rate", "slow_rate", "slow"),
      ...line("consecutive failures, share of the threshold", "run", "rejected", "dot"),
    ];
    const limit = (name, value, hue) => value == null ? [] : [{
      type: "scatter", mode: "lines", name: `${name} ${value.toLocaleString("en", { style: "percent", maximumFractionDigits: 1 })}`,
      x: period(), y: [value, value], yaxis: "y2", line: { color: colour(hue), width: 1.25, dash: "dash" }, hoverinfo: "skip",
    }];
    const limits = series.limits || {};
    byId("rates-hint").textContent = series.rates_are;
    return Plotly.react(calls, [...counts, ...rates, ...limit("failure threshold", limits.failure_rate, "failed"),
      ...limit("slow threshold", limits.slow_rate, "slow"), ...limit("trips at", limits.run, "rejected")], layout({
      height: 460, barmode: "stack", hovermode: "x unified", dragmode: "zoom", bargap: 0, margin: { l: LEFT, r: 24, t: 60, b: 40 },
      legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", traceorder: "normal" },
      xaxis: timeAxis({ anchor: "y2" }),
      yaxis: { title: { text: "calls per " + data.width_text }, domain: [0.46, 1], gridcolor: colour("line"), zeroline: false, fixedrange: true, rangemode: "tozero", dtick: most < 6 ? 1 : undefined },
      yaxis2: { title: { text: "rate" }, domain: [0, 0.38], tickformat: ".0%", range: [0, 1.06], gridcolor: colour("line"), zeroline: false, fixedrange: true },
    }), options);
  }

  function show(n, scroll) {
    const trip = data.trips[n];
    byId("why").hidden = false;
    byId("why").dataset.trip = n;
    byId("headline").textContent = trip.headline;
    const facts = byId("facts");
    facts.replaceChildren();
    let last = "";
    trip.facts.forEach(([name, fact]) => {
      facts.append(element("dt", name === last ? "" : name), element("dd", fact));
      last = name;
    });
    byId("evidence").tHead.replaceChildren(row([["seq", "number"], ["ended (UTC)"], ["took", "number"], ["outcome"], ["error"]], "th"));
    byId("evidence").tBodies[0].replaceChildren(...trip.evidence.map((call) =>
      row([[call[0], "number"], [call[1]], [call[2], "number"], [call[3]], [call[4]]], "td")));
    byId("evidence").hidden = !trip.evidence.length;
    byId("more").textContent = trip.more;
    [...byId("trips").tBodies[0].rows].forEach((r) => r.classList.toggle("chosen", Number(r.dataset.trip) === n));
    if (byId("breaker").value !== String(trip.breaker)) {
      byId("breaker").value = trip.breaker;
      drawCalls();
    }
    if (scroll) byId("why").scrollIntoView({ behavior: "smooth", block: "nearest" });
  }

  function zoomTogether(from, other) {
    from.on("plotly_relayout", (change) => {
      let next = range;
      if (change["xaxis.autorange"]) next = null;
      else if (change["xaxis.range[0]"]) next = [change["xaxis.range[0]"], change["xaxis.range[1]"]];
      else if (change["xaxis.range"]) next = change["xaxis.range"];
      else return;
      if (JSON.stringify(next) === JSON.stringify(range)) return;
      range = next;
      if (next === null) { Plotly.relayout(from, { "xaxis.range": period() }); }
      Plotly.relayout(other, { "xaxis.range": range ? [...range] : period() });
    });
  }

  function begin() {
    byId("log").textContent = data.log;
    byId("period").textContent = data.period_text;
    data.figures.forEach(([name, figure]) => {
      const made = document.createElement("div");
      made.append(element("dt", name), element("dd", figure));
      byId("figures").append(made);
    });
    byId("proof").textContent = data.proof;
    byId("bounds").textContent = data.bounds;
    byId("breaker").append(...[["-1", "all breakers"], ...data.breakers.map((b) => [b.index, b.name])].map(([value, text]) => {
      const option = element("option", text);
      option.value = value;
      return option;
    }));
    byId("breaker").value = data.breakers.length ? data.breakers[0].index : -1;
    byId("tripped").checked = data.breakers.length > 40 && data.trips.length > 0;
    byId("trips").tHead.replaceChildren(row([["time (UTC)"], ["breaker"], ["rule"], ["not closed for", "number"], ["rejected", "number"]], "th"));
    byId("trips").tBodies[0].replaceChildren(...data.trips.map((trip, n) => {
      const made = row([[trip.utc], [data.breakers[trip.breaker].name], [trip.rule], [trip.lasted, "number"], [trip.rejected, "number"]], "td");
      made.dataset.trip = n;
      made.tabIndex = 0;
      made.addEventListener("click", () => show(n, true));
      made.addEventListener("keydown", (event) => { if (event.key === "Enter") show(n, true); });
      return made;
    }).reverse());
    byId("trips-title").parentElement.hidden = !data.trips.length;
    ["filter", "tripped"].forEach((id) => byId(id).addEventListener("input", drawLanes));
    document.querySelectorAll("form").forEach((form) => form.addEventListener("submit", (event) => event.preventDefault()));
    byId("breaker").addEventListener("input", drawCalls);
    byId("all").addEventListener("click", () => {
      range = null;
      Plotly.relayout(lanes, { "xaxis.range": period() });
      Plotly.relayout(calls, { "xaxis.range": period() });
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { drawLanes(); drawCalls(); });
    Promise.all([drawLanes(), drawCalls()]).then(() => {
      lanes.on("plotly_click", (event) => {
        const point = event.points.find((p) => p.data.mode === "markers");
        if (point) show(point.customdata, true);
      });
      zoomTogether(lanes, calls);
      zoomTogether(calls, lanes);
      document.documentElement.dataset.ready = "yes";
    });
  }
  begin();
})();
