// Added to a copy of the page in a frame: measures what a reader sees, and writes it as JSON into the title of the page
// around the frame.
(() => {
  const rect = (element) => element.getBoundingClientRect();
  const visible = (element) => rect(element).width > 0 && rect(element).height > 0;
  const all = (selector, root = document) => [...root.querySelectorAll(selector)].filter(visible);
  const overlap = (a, b) => a.left < b.right - 0.5 && b.left < a.right - 0.5 && a.top < b.bottom - 0.5 && b.top < a.bottom - 0.5;
  const place = (element, track) => ({
    class: element.className.split(" ").pop(),
    text: element.title,
    left: rect(element).left - rect(track).left,
    right: rect(element).right - rect(track).left,
    top: rect(element).top - rect(track).top,
    declared: parseFloat(element.style.left),
    target: element.hash ? Boolean(document.querySelector(element.hash)) : null,
  });
  const rows = all(".row:not(.axis-row)").map((row) => {
    const track = row.querySelector(".track");
    return {
      label: row.querySelector(".label").textContent,
      width: rect(track).width,
      height: rect(track).height,
      labelOverlapsLane: overlap(rect(row.querySelector(".label")), rect(row.querySelector(".lane"))),
      bars: all(".bar", track).map((bar) => place(bar, track)),
      marks: all(".mark", track).map((mark) => place(mark, track)),
      states: all(".states li", row).map((state) => state.textContent.trim()),
    };
  });
  const labels = all(".axis span").map(rect);
  const axis = document.querySelector(".axis");
  // WCAG 2.2, 1.4.3: the contrast of a text with what is behind it.
  const channels = (color) => color.match(/[\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => {
    const part = (value) => (value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4);
    return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  };
  const background = (element) => {
    for (let it = element; it; it = it.parentElement) {
      const color = channels(getComputedStyle(it).backgroundColor);
      if (color.length < 4 || color[3] > 0) return color;
    }
    return [255, 255, 255];
  };
  const contrast = (element) => {
    const [a, b] = [luminance(channels(getComputedStyle(element).color)), luminance(background(element))];
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  };
  const hasText = (element) => [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
  const faint = all("body *").filter(hasText).filter((element) => contrast(element) < 4.5);
  parent.document.title = JSON.stringify({
    width: innerWidth,
    overflow: document.documentElement.scrollWidth - innerWidth,
    dark: matchMedia("(prefers-color-scheme: dark)").matches,
    background: getComputedStyle(document.body).backgroundColor,
    rows,
    axis: {
      overlaps: labels.some((label, index) => labels.slice(index + 1).some((other) => overlap(label, other))),
      outside: labels.some((label) => label.left < rect(axis).left - 1 || label.right > rect(axis).right + 1),
    },
    faint: faint.map((element) => `${element.className}: ${element.textContent.slice(0, 40)}`),
    cut: all("pre, td, dd, .label").filter((element) => element.scrollWidth > element.clientWidth + 1).length,
  });
})();
