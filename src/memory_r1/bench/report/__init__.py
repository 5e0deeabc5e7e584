"""A benchmark run as a report to read, and two runs beside each other."""

from memory_r1.bench.report.write import Report, write_report

__all__ = ["Report", "write_report"]
