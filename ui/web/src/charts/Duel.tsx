import type { Finding } from "../api/types";
import { count, percent, points, words } from "../lib/format";
import { Scroll } from "../ui/Scroll";

const WIDE = 118;

const WORDS: Record<Finding["verdict"], { text: string; tone: string }> = {
  "not worse": { text: "yes", tone: "ok" },
  worse: { text: "no", tone: "bad" },
  "not clear yet": { text: "not clear", tone: "dim" },
};

interface Props {
  findings: readonly Finding[];
  challenger: string;
  champion: string;
  colour: string;
  /** Whether both rates and how many answers they rest on are shown too. */
  full?: boolean;
}

/** Each metric's difference with its interval; the band is what the margin allows. */
export function Duel({ findings, challenger, champion, colour, full = false }: Props) {
  return (
    <Scroll label="Differences with intervals">
      <table className={`duel ${full ? "full" : ""}`}>
        <caption className="sr">
          {challenger} minus {champion}, with interval and allowed range. Lower is better.
        </caption>
        <thead>
          <tr>
            <th scope="col">
              {challenger} minus {champion}
            </th>
            <th scope="col">
              <span className="ends">
                <span>better</span>
                <span>worse</span>
              </span>
            </th>
            <th scope="col">Change</th>
            {full ? (
              <>
                <th scope="col">Interval</th>
                <th scope="col">Margin</th>
                <th scope="col">{challenger}</th>
                <th scope="col">{champion}</th>
              </>
            ) : null}
            <th scope="col">Allowed</th>
          </tr>
        </thead>
        <tbody>
          {findings.map((each) => {
            const verdict = WORDS[each.verdict];
            const change = points(each.challenger - each.champion);
            return (
              <tr key={each.metric}>
                <td>{words(each.metric)}</td>
                <td>
                  <Interval finding={each} colour={colour} said={`${change}, ${verdict.text}`} />
                </td>
                <td className="v">{change}</td>
                {full ? (
                  <>
                    <td>
                      {points(each.lower)} to {points(each.upper)}
                    </td>
                    <td>{points(each.margin)}</td>
                    <td>
                      {percent(each.challenger, 2)}{" "}
                      <span className="dim">of {count(each.challenger_of)}</span>
                    </td>
                    <td>
                      {percent(each.champion, 2)}{" "}
                      <span className="dim">of {count(each.champion_of)}</span>
                    </td>
                  </>
                ) : null}
                <td className={`v ${verdict.tone}`}>{verdict.text}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </Scroll>
  );
}

function Interval({ finding, colour, said }: { finding: Finding; colour: string; said: string }) {
  const { lower, upper, margin } = finding;
  const middle = finding.challenger - finding.champion;
  const most = Math.max(Math.abs(lower), Math.abs(upper), Math.abs(margin) * 1.3, 1e-9) * 1.08;
  const x = (value: number) =>
    Math.min(WIDE - 2, Math.max(2, WIDE / 2 + (value / most) * (WIDE / 2)));
  const ink = finding.verdict === "worse" ? "var(--bad)" : colour;
  return (
    <svg
      width={WIDE}
      height="20"
      viewBox={`0 0 ${WIDE} 20`}
      role="img"
      aria-label={`${words(finding.metric)}: ${said}`}
    >
      <rect x="0" y="5" width={x(margin)} height="10" fill="var(--h0)" rx="2" />
      <path d={`M${x(margin)} 4V16`} stroke="var(--control)" strokeWidth="1.5" />
      <path d={`M${WIDE / 2} 1V19`} stroke="var(--ink3)" strokeDasharray="2 2" />
      <path d={`M${x(lower)} 10H${x(upper)}`} stroke={ink} strokeWidth="2" />
      {finding.verdict === "worse" ? (
        <rect x={x(middle) - 4} y="6" width="8" height="8" fill={ink} />
      ) : (
        <circle
          cx={x(middle)}
          cy="10"
          r="4"
          fill={finding.verdict === "not clear yet" ? "var(--ground)" : ink}
          stroke={ink}
          strokeWidth="1.6"
        />
      )}
    </svg>
  );
}
