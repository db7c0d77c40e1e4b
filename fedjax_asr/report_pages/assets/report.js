'use strict';
// Tables that sort and filter, and curves. The page is whole without it, but
// for the curves.
(() => {
  const PAGE = 50;
  // Of each press: what was read by its value is the highest first.
  const order = new Intl.Collator(undefined, {numeric: true});

  function tools(table) {
    const rows = [...table.tBodies[0].rows];
    const holder = table.closest('.table');
    const input = holder.querySelector('input');
    const told = holder.querySelector('[role=status]');
    const more = holder.querySelector('.more');
    // A table that is not searched is short.
    let shown = input ? PAGE : rows.length;
    let found = rows;

    const texts = rows.map((row) => row.textContent.toLowerCase());

    function show() {
      const visible = new Set(found.slice(0, shown));
      for (const row of rows) row.hidden = !visible.has(row);
      if (!input) return;
      const all = found.length === rows.length ? '' : ` of ${rows.length}`;
      told.textContent = `${visible.size} of ${found.length} rows shown` +
        (all && ` (${found.length}${all} found)`);
      more.hidden = visible.size === found.length;
    }

    function filter() {
      const words = input ?
        input.value.toLowerCase().split(/\s+/).filter(Boolean) : [];
      const fits = (row, index) =>
        words.every((word) => texts[index].includes(word));
      const kept = new Set(rows.filter(fits));
      found = [...table.tBodies[0].rows].filter((row) => kept.has(row));
      if (input) shown = PAGE;
      show();
    }

    function sort(header) {
      const column = header.cellIndex;
      const was = header.getAttribute('aria-sort');
      const isNumber = header.classList.contains('number');
      const first = isNumber ? 'descending' : 'ascending';
      const other = isNumber ? 'ascending' : 'descending';
      const now = was === first ? other : first;
      for (const each of table.tHead.rows[0].cells) {
        each.removeAttribute('aria-sort');
      }
      header.setAttribute('aria-sort', now);
      const sign = now === 'ascending' ? 1 : -1;
      const key = (row) => row.cells[column].dataset.value;
      const keyed = [...table.tBodies[0].rows].map((row) => [key(row), row]);
      keyed.sort(([a], [b]) => {
        // What has no value comes last either way.
        if (a === '' || b === '') return (a === '') - (b === '');
        return sign * (isNumber ? a - b : order.compare(a, b));
      });
      table.tBodies[0].append(...keyed.map(([, row]) => row));
      filter();
    }

    for (const button of table.querySelectorAll('th button')) {
      button.addEventListener('click', () => sort(button.closest('th')));
    }
    if (!input) return;
    input.addEventListener('input', filter);
    const [next, all] = more.querySelectorAll('button');
    next.addEventListener('click', () => { shown += PAGE; show(); });
    all.addEventListener('click', () => { shown = rows.length; show(); });
    filter();
  }

  const color = (name) =>
    getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  function shownValue(chart, value) {
    if (value == null) return '\u2013';
    if (chart.is_rate) return `${(100 * value).toPrecision(3)}%`;
    return Number(value.toPrecision(4)).toString();
  }

  function tick(chart, value) {
    if (value == null) return '';
    if (chart.is_rate) return `${Math.round(100 * value)}%`;
    if (value && Math.abs(value) < 0.001) return value.toExponential(0);
    return Number(value.toPrecision(6)).toString();
  }

  // Beside the cursor: the values of the nearest round of each line.
  function tooltip(chart, place) {
    const tip = document.createElement('div');
    tip.className = 'tip';
    tip.hidden = true;
    return {
      hooks: {
        init: (plot) => plot.over.append(tip),
        setCursor: (plot) => {
          const {idx, left} = plot.cursor;
          tip.hidden = idx == null || left < 0;
          if (tip.hidden) return;
          const head = document.createElement('b');
          head.textContent = `round ${plot.data[0][idx]}`;
          const lines = [head];
          plot.series.forEach((series, number) => {
            const at = plot.cursor.idxs[number];
            if (!number || !series.show || at == null) return;
            const value = plot.data[number][at];
            if (value == null) return;
            const line = document.createElement('div');
            const away = at === idx ? '' : ` (round ${plot.data[0][at]})`;
            line.textContent =
              `${series.label}: ${shownValue(chart, value)}${away}`;
            lines.push(line);
          });
          tip.replaceChildren(...lines);
          const width = plot.over.clientWidth;
          const beside = left + 12 + tip.offsetWidth > width ?
            left - tip.offsetWidth - 12 : left + 12;
          tip.style.left = `${Math.max(0, beside)}px`;
          tip.style.top = '8px';
          if (place === document.activeElement) {
            place.setAttribute('aria-valuetext',
              lines.map((line) => line.textContent).join(', '));
            place.setAttribute('aria-valuenow', plot.data[0][idx]);
          }
        },
      },
    };
  }

  function draw(place, chart) {
    const data = [chart.rounds, ...chart.lines.map((line) => line.values)];
    const grid = {stroke: () => color('--line'), width: 1};
    const axis = {stroke: () => color('--soft'), grid, ticks: grid};
    const width = () => Math.max(200, place.clientWidth);
    const options = {
      width: width(),
      height: 280,
      scales: {
        x: {time: false},
        y: chart.is_log ? {distr: 3} : {range: (_, low, high) =>
          chart.is_rate ? [0, Math.max(1, high) * 1.03] : [low, high]},
      },
      axes: [
        {...axis, label: 'round', size: 32, labelSize: 18, labelGap: 0,
          labelFont: '13px sans-serif'},
        {...axis, size: 62, values: (_, values) =>
          values.map((value) => tick(chart, value))},
      ],
      cursor: {
        // The nearest round in which a line has a value.
        dataIdx: (plot, number, idx) => {
          const values = plot.data[number];
          if (!number || values[idx] != null) return idx;
          for (let off = 1; off < values.length; off++) {
            if (values[idx - off] != null) return idx - off;
            if (values[idx + off] != null) return idx + off;
          }
          return null;
        },
      },
      legend: {live: false, markers: {dash: (plot, number) =>
        plot.series[number].dash ? 'dotted' : 'solid'}},
      series: [
        {},
        ...chart.lines.map((line) => ({
          label: line.label,
          stroke: line.color,
          width: 2,
          dash: line.dash.length ? line.dash : undefined,
          spanGaps: line.is_sparse,
          points: {show: line.is_sparse || undefined, size: 5,
            fill: line.color},
        })),
      ],
      plugins: [tooltip(chart, place)],
    };
    const plot = new uPlot(options, data, place);
    let last = options.width;
    new ResizeObserver(() => {
      if (width() === last) return;
      last = width();
      plot.setSize({width: last, height: 280});
    }).observe(place);
    matchMedia('(prefers-color-scheme: dark)')
      .addEventListener('change', () => plot.redraw());
    keys(place, plot);
  }

  // Arrow keys go from round to round, as a slider's do.
  function keys(place, plot) {
    const rounds = plot.data[0];
    place.setAttribute('aria-valuemin', rounds[0]);
    place.setAttribute('aria-valuemax', rounds[rounds.length - 1]);
    const go = (idx) => {
      const at = Math.min(rounds.length - 1, Math.max(0, idx));
      plot.setCursor({left: plot.valToPos(rounds[at], 'x'), top: 20});
    };
    const far = Math.max(1, Math.round(rounds.length / 10));
    const steps = {ArrowLeft: -1, ArrowRight: 1, PageDown: -far, PageUp: far};
    place.addEventListener('keydown', (event) => {
      const at = plot.cursor.idx ?? 0;
      if (event.key === 'Home') go(0);
      else if (event.key === 'End') go(rounds.length - 1);
      else if (event.key in steps) go(at + steps[event.key]);
      else return;
      event.preventDefault();
    });
    place.addEventListener('focus', () => {
      if (plot.cursor.idx == null) go(rounds.length - 1);
    });
  }

  document.querySelectorAll('table.data').forEach(tools);
  const data = document.getElementById('charts');
  if (data) {
    for (const chart of JSON.parse(data.textContent)) {
      draw(document.getElementById(`plot-${chart.name}`), chart);
    }
  }
  // One at a time.
  document.addEventListener('play', (event) => {
    for (const each of document.querySelectorAll('audio')) {
      if (each !== event.target) each.pause();
    }
  }, true);
})();
