// The page follows the system: light or dark, also when that changes.
const THEMES = {
  light: {
    "bg-color": "#ffffff",
    "text-color": "#1f2328",
    "primary-color": "#0969da",
    "nav-bg-color": "#f6f8fa",
    "nav-text-color": "#59636e",
    "nav-hover-bg-color": "#e8ecf0",
    "nav-hover-text-color": "#1f2328",
    "nav-accent-color": "#0969da",
  },
  dark: {
    "bg-color": "#0d1117",
    "text-color": "#e6edf3",
    "primary-color": "#4493f8",
    "nav-bg-color": "#151b23",
    "nav-text-color": "#9198a1",
    "nav-hover-bg-color": "#212830",
    "nav-hover-text-color": "#e6edf3",
    "nav-accent-color": "#4493f8",
  },
};
const system = window.matchMedia("(prefers-color-scheme: dark)");

function follow() {
  const theme = system.matches ? "dark" : "light";
  const page = document.querySelector("rapi-doc");
  page.setAttribute("theme", theme);
  for (const [name, value] of Object.entries(THEMES[theme])) page.setAttribute(name, value);
}

system.addEventListener("change", follow);
follow();
