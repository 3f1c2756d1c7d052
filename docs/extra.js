// What the theme makes of tables and code: reached by keyboard, and no landmark for each of them.
function mend() {
  for (const table of document.querySelectorAll(".md-typeset__scrollwrap")) {
    if (table.scrollWidth > table.clientWidth) table.tabIndex = 0;
  }
  for (const buttons of document.querySelectorAll("nav.md-code__nav")) {
    buttons.setAttribute("role", "none");
  }
}

addEventListener("load", mend);
addEventListener("resize", mend);
