// Tables of class "sortable": a click on the head of a column sorts the rows by it, another turns them.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    const key = (row) => row.cells[column].dataset.order ?? row.cells[column].textContent.trim();
    const number = (text) => Number(text.replace("\u2212", "-").replace(/[\u00a0\u202f]|%$/g, ""));
    button.addEventListener("click", () => {
      const turn = head.ariaSort === "ascending" ? -1 : 1;
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.ariaSort = turn === 1 ? "ascending" : "descending";
      const absent = (text) => text === "" || text === "\u2013";
      const compare = (a, b) => {
        if (absent(a) || absent(b)) return absent(a) - absent(b);
        const [x, y] = [number(a), number(b)];
        return turn * (isNaN(x) || isNaN(y) ? a.localeCompare(b, "en", { numeric: true }) : x - y);
      };
      body.append(...[...body.rows].sort((a, b) => compare(key(a), key(b))));
    });
  });
}
