"""How many transformers a network of hospitals needs: `python -m benchmarks.queueing`.

The model is M(t)/G/c. Studies come by a Poisson process whose rate follows the hours of a working day, all hospitals
alike. A study's work is log-normal around the measured core seconds, since series differ in length. The first free
place of any transformer takes the study that has waited longest. Real transformers have a queue each, and a balancer
that does not know them: the tail is longer than here, so take one transformer more.
"""

import argparse
import heapq

import numpy as np
from numpy.typing import NDArray

HOURS = np.array([2, 2, 1, 1, 1, 2, 4, 7, 10, 11, 11, 10, 8, 9, 10, 9, 8, 6, 5, 4, 4, 3, 3, 2], float)
"""Studies of an hour of the day, in shares: a busy morning, a quiet night. A site has its own."""


def arrivals(studies_a_day: float, days: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Times at which studies come, s, in order."""
    rates = studies_a_day * HOURS / HOURS.sum()
    times = [
        3600.0 * (24 * day + hour) + rng.uniform(0.0, 3600.0, rng.poisson(rates[hour]))
        for day in range(days)
        for hour in range(24)
    ]
    return np.sort(np.concatenate(times))


def services(count: int, mean: float, variation: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Seconds of work, log-normal with a mean and a coefficient of variation."""
    sigma = np.sqrt(np.log(1.0 + variation**2))
    return rng.lognormal(np.log(mean) - sigma**2 / 2, sigma, count)


def answers(times: NDArray[np.float64], work: NDArray[np.float64], places: int) -> NDArray[np.float64]:
    """Seconds from a study's coming to its answer, first come, first served."""
    free = [0.0] * places
    heapq.heapify(free)
    taken = np.empty_like(times)
    for number, (time, seconds) in enumerate(zip(times, work, strict=True)):
        end = max(time, heapq.heappop(free)) + seconds
        heapq.heappush(free, end)
        taken[number] = end - time
    return taken


def main() -> None:
    """Print a table by the number of transformers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=float, default=10_000, help="a day, of all hospitals together")
    parser.add_argument("--core-seconds", type=float, default=36.0, help="processor time of a study")
    parser.add_argument("--cores", type=float, default=8.0, help="of a transformer")
    parser.add_argument("--workers", type=int, default=2, help="studies that a transformer works on at once")
    parser.add_argument("--variation", type=float, default=0.4, help="standard deviation of the work over its mean")
    parser.add_argument("--days", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    times = arrivals(options.studies, options.days, rng)
    seconds = options.core_seconds / (options.cores / options.workers)
    work = services(len(times), seconds, options.variation, rng)
    peak = options.studies * HOURS.max() / HOURS.sum() / 3600.0
    print("| transformers | busy at the peak | median | 95 % | 99 % | longest |")
    print("|---:|---:|---:|---:|---:|---:|")
    for count in range(1, 9):
        places = count * options.workers
        if peak * seconds / places < 1.0:
            taken = answers(times, work, places)
            found = " | ".join(f"{value:.0f} s" for value in np.quantile(taken, [0.5, 0.95, 0.99, 1.0]))
            print(f"| {count} | {100 * peak * seconds / places:.0f} % | {found} |")


if __name__ == "__main__":
    main()
